package sim

// happening is one thing that is to happen. Those of one moment happen in the order in which they were
// entered.
type happening struct {
	at  int64
	seq uint64
	do  func()
}

func (h *happening) before(o *happening) bool {
	return h.at < o.at || h.at == o.at && h.seq < o.seq
}

// queue is a heap of four children a place: flatter than one of two, and so faster.
type queue []happening

func (q *queue) push(h happening) {
	a := append(*q, h)
	i := len(a) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !h.before(&a[up]) {
			break
		}
		a[i] = a[up]
		i = up
	}
	a[i] = h
	*q = a
}

func (q *queue) pop() happening {
	a := *q
	top := a[0]
	n := len(a) - 1
	last := a[n]
	a[n] = happening{}
	a = a[:n]
	*q = a
	if n == 0 {
		return top
	}
	i := 0
	for {
		first := 4*i + 1
		if first >= n {
			break
		}
		least := first
		for j := first + 1; j < min(first+4, n); j++ {
			if a[j].before(&a[least]) {
				least = j
			}
		}
		if !a[least].before(&last) {
			break
		}
		a[i] = a[least]
		i = least
	}
	a[i] = last
	return top
}
