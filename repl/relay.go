package repl

// relayed is the part of a long transfer that is on its way at once, twice: one is read while another is written. The
// client sends it as eight messages.
const relayed = 2 * piece

// relay moves size bytes from fill to drain, part by part and in order. The two run beside each other, each with one
// part at a time. It ends when both have; what fill gave before it failed has been drained.
func relay(size uint64, fill, drain func(at uint64, p []byte) error) error {
	if size <= relayed {
		p := make([]byte, size)
		if err := fill(0, p); err != nil {
			return err
		}
		return drain(0, p)
	}
	type part struct {
		at uint64
		p  []byte
	}
	free := make(chan []byte, 2)
	free <- make([]byte, relayed)
	free <- make([]byte, relayed)
	full := make(chan part, 1)
	quit := make(chan struct{})
	var failed error // of fill; read when full is closed
	go func() {
		defer close(full)
		for at := uint64(0); at < size; {
			var p []byte
			select {
			case p = <-free:
			case <-quit:
				return
			}
			p = p[:min(size-at, relayed)]
			if failed = fill(at, p); failed != nil {
				return
			}
			full <- part{at, p}
			at += uint64(len(p))
		}
	}()
	for x := range full {
		if err := drain(x.at, x.p); err != nil {
			close(quit)
			for range full { // until the other side has ended
			}
			return err
		}
		free <- x.p[:cap(x.p)]
	}
	return failed
}
