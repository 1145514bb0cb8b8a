package disk

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"dmalloc/message"
)

// image is what a crash before one change of a file would have left.
type image struct {
	what   string
	files  *memory   // after a kill
	losses []*memory // after power losses
	before model     // all that was acknowledged
	after  model     // and the step that was under way
}

// camera takes an image before each change.
type camera struct {
	mu            sync.Mutex
	rnd           *rand.Rand
	before, after model
	step          string
	images        []image
}

func (c *camera) shoot(m *memory, what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := image{what: c.step + " before " + what, files: m.killed(), before: c.before.clone(), after: c.after.clone()}
	for range 4 {
		i.losses = append(i.losses, m.crashed(c.rnd))
	}
	c.images = append(c.images, i)
}

func (c *camera) now(step string, before, after model) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.step, c.before, c.after = step, before.clone(), after.clone()
}

// live plays steps, reopening now and again, and takes all images.
func live(t *testing.T, seed uint64, n int) (*memory, []image, model) {
	t.Helper()
	m, now := newMemory(), newModel()
	c := &camera{rnd: rand.New(rand.NewPCG(seed, 1))}
	c.now("open", now, now)
	m.setHook(func(what, path string) error { c.shoot(m, what+" "+path); return nil })
	s := must(t, m, small)
	compactions := uint64(0)
	for i, st := range steps(rand.New(rand.NewPCG(seed, 2)), n) {
		next := now.clone()
		st.model(next)
		c.now(st.name, now, next)
		if err := st.store(s); err != nil {
			t.Fatalf("%s: %v", st.name, err)
		}
		now = next
		c.now(st.name+" done", now, now)
		if err := now.differs(s); err != nil {
			t.Fatalf("%s: %v", st.name, err)
		}
		if i%37 == 36 {
			settle(t, s)
			compactions += s.Stats().Compactions
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = must(t, m, small)
			if err := now.differs(s); err != nil {
				t.Fatalf("after %s, opened again: %v", st.name, err)
			}
		}
	}
	if n >= 100 && (s.Stats().Segments < 2 || compactions == 0) {
		t.Fatalf("the life was too short: %+v", s.Stats())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	m.setHook(nil)
	return m, c.images, now
}

// D1, D3, D5: whenever a crash comes, the files hold all that was acknowledged, and of what was under way all
// or nothing.
func TestCrashBeforeEveryChange(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			_, images, _ := live(t, seed, 150)
			opened := 0
			for _, i := range images {
				for k, m := range append(i.losses, i.files) {
					s, err := open(m, "d", me, small)
					if err != nil {
						t.Fatalf("%s, crash %d: %v", i.what, k, err)
					}
					if i.before.differs(s) != nil {
						if err := i.after.differs(s); err != nil {
							t.Fatalf("%s, crash %d: neither what was acknowledged (%v) nor what was under way: %v", i.what, k, i.before.differs(s), err)
						}
					}
					if err := put(t, s, reg(77), tag(1), []byte("goes on")); err != nil {
						t.Fatalf("%s, crash %d: %v", i.what, k, err)
					}
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					opened++
				}
			}
			t.Logf("%d crashes", opened)
		})
	}
}

// D6: whichever change finds no room, a step is done or refused as a whole, and the store goes on when there
// is room again.
func TestFullDiskAtEveryChange(t *testing.T) {
	refusedAll, rnd := 0, rand.New(rand.NewPCG(4, 4))
	for at := 0; ; at++ {
		m, now := newMemory(), newModel()
		s := must(t, m, small)
		var mu sync.Mutex
		count, fired := 0, false
		m.setHook(func(what, path string) error {
			mu.Lock()
			defer mu.Unlock()
			if what != "write" && what != "create" && what != "rename" {
				return nil // these need no room
			}
			count++
			if count > at && count <= at+3 { // a retry finds none either
				fired = true
				return syscall.ENOSPC
			}
			return nil
		})
		refused := 0
		for _, st := range steps(rand.New(rand.NewPCG(7, 7)), 60) {
			err := st.store(s)
			switch {
			case err == nil:
				st.model(now)
			case message.CodeOf(err) != message.OutOfMemory:
				t.Fatalf("full at change %d, %s: %v", at, st.name, err)
			default:
				refused++
			}
			if err := now.differs(s); err != nil {
				t.Fatalf("full at change %d, %s: %v", at, st.name, err)
			}
		}
		for _, files := range []*memory{m.killed(), m.crashed(rnd), m.crashed(rnd)} {
			again := must(t, files, small)
			if err := now.differs(again); err != nil {
				t.Fatalf("full at change %d, opened again: %v", at, err)
			}
			_ = again.Close()
		}
		_ = s.Close()
		refusedAll += refused
		if !fired {
			break
		}
	}
	if refusedAll == 0 {
		t.Error("nothing was refused")
	}
	t.Logf("%d steps were refused", refusedAll)
}

// D6: after a failed write or sync nothing is taken or served, and what was acknowledged is on the disk.
func TestFailureAtEveryChange(t *testing.T) {
	for _, failure := range []error{syscall.EIO, syscall.ENOSPC} { // for a sync both are the end
		failAtEveryChange(t, failure)
	}
}

func failAtEveryChange(t *testing.T, failedSync error) {
	rnd := rand.New(rand.NewPCG(9, 9))
	for at := 0; ; at++ {
		m, now := newMemory(), newModel()
		s := must(t, m, small)
		var mu sync.Mutex
		count, fired := 0, ""
		m.setHook(func(what, path string) error {
			mu.Lock()
			defer mu.Unlock()
			if count++; count == at+1 {
				fired = what
				if what == "sync" {
					return failedSync
				}
				return syscall.EIO
			}
			return nil
		})
		var next model
		for _, st := range steps(rand.New(rand.NewPCG(8, 8)), 40) {
			next = now.clone()
			st.model(next)
			if err := st.store(s); err != nil {
				if message.CodeOf(err) != message.Unavailable {
					t.Fatalf("failure at change %d (%s), %s: %v", at, fired, st.name, err)
				}
				break
			}
			now = next
		}
		mu.Lock()
		what := fired
		mu.Unlock()
		if what == "" {
			_ = s.Close()
			break
		}
		if what != "remove" { // an empty file that stays is no failure
			failsForEver(t, s)
		}
		_ = s.Close()
		for k, files := range []*memory{m.killed(), m.crashed(rnd), m.crashed(rnd)} {
			again, err := open(files, "d", me, small)
			if err != nil {
				t.Fatalf("failure at change %d (%s), crash %d: %v", at, what, k, err)
			}
			if now.differs(again) != nil {
				if err := next.differs(again); err != nil {
					t.Fatalf("failure at change %d (%s), crash %d: %v; %v", at, what, k, now.differs(again), err)
				}
			}
			_ = again.Close()
		}
	}
}

func failsForEver(t *testing.T, s *Store) {
	t.Helper()
	if err := put(t, s, reg(1), tag(1000), nil); message.CodeOf(err) != message.Unavailable {
		// The compactor may have been the one that failed, after the last step.
		<-s.Failed()
		err = put(t, s, reg(1), tag(1000), nil)
		if message.CodeOf(err) != message.Unavailable {
			t.Fatalf("D6: a put after the failure: %v", err)
		}
		return
	}
	if _, _, err := s.Get(reg(1), 10); message.CodeOf(err) != message.Unavailable {
		t.Fatalf("D6: a get after the failure: %v", err)
	}
	if err := <-s.Failed(); err == nil || !errors.Is(err, &message.Error{Code: message.Unavailable}) {
		t.Fatalf("Failed gives %v", err)
	}
}
