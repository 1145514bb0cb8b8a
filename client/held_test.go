package client

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmalloc/message"
)

// The list of leases answers as one that is searched from end to end would.
func TestHeldLeases(t *testing.T) {
	start := time.Now()
	rapid.Check(t, func(t *rapid.T) {
		var l leases
		var model []held
		now := start
		page := func(name string) message.Addr {
			return message.Addr(rapid.IntRange(0, 12).Draw(t, name)) * message.PageSize
		}
		for token := range uint64(rapid.IntRange(1, 30).Draw(t, "steps")) {
			now = now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "wait")) * time.Second)
			switch x := (held{Lease: message.Lease{Address: page("at"), Size: uint64(page("size")) + message.PageSize, Mode: rapid.SampledFrom([]string{"r", "w"}).Draw(t, "mode"), Token: token}}); rapid.IntRange(0, 3).Draw(t, "do") {
			case 0:
				if len(model) > 0 {
					i := rapid.IntRange(0, len(model)-1).Draw(t, "which")
					l.forget(model[i])
					model = append(model[:i:i], model[i+1:]...)
				}
			case 1:
				if len(model) > 0 {
					i := rapid.IntRange(0, len(model)-1).Draw(t, "which")
					model[i].quiet = now.Add(time.Second)
					l.hush(model[i], model[i].quiet)
				}
			default:
				x.until = now.Add(5 * time.Second)
				l.took(x, now)
				keep := model[:0:0]
				for _, y := range model {
					if y.end() <= x.Address || x.end() <= y.Address {
						keep = append(keep, y)
					}
				}
				model = append(keep, x)
			}
			a, n, write := page("ask")+message.Addr(rapid.IntRange(0, 5).Draw(t, "into")), uint64(rapid.IntRange(1, 3*message.PageSize).Draw(t, "n")), rapid.Bool().Draw(t, "write")
			got, ok := l.over(a, n, write, now)
			want := -1
			for i, y := range model {
				if a >= y.Address && a+message.Addr(n) <= y.end() && (y.Mode == "w" || !write) && now.Before(y.until) && !now.Before(y.quiet) {
					want = i
				}
			}
			if ok != (want >= 0) || ok && got != model[want] {
				t.Fatalf("%+v %v, want %d of %+v", got, ok, want, model)
			}
		}
	})
}

func TestHeldIsBounded(t *testing.T) {
	var l leases
	now := time.Now()
	for i := range maxHeld + 5 {
		l.took(held{Lease: message.Lease{Address: message.Addr(i * message.PageSize), Size: message.PageSize}, until: now.Add(time.Duration(maxHeld*2-i) * time.Second)}, now)
	}
	if n := len(l.list()); n != maxHeld {
		t.Errorf("%d are remembered", n)
	}
	if _, ok := l.over(0, 1, false, now); !ok {
		t.Error("the one that ends last was forgotten")
	}
}
