package register

import (
	"strings"
	"testing"
)

// schedule is a way in which a shortcut goes wrong. In a comment v0 is the first value and A, B, C are the
// replicas. The right protocol plays the same script to a history that is linearizable, if need be by not
// answering; ends says which operations end then, as letters y and n in the order of their starts.
type schedule struct {
	name    string
	members string
	breaks  []variant
	play    func(s *stage)
	ends    string
}

func schedules() []schedule {
	return []schedule{
		{"CE1 new-old inversion", "ABC", []variant{noWriteBack}, func(s *stage) {
			w := s.write(1, 1)
			w.round("AB")
			w.round("A")
			s.read(2).rounds("AB")
			s.read(3).rounds("BC")
		}, "nyy"},
		{"CE2 detector shrinks the write", "ABC", []variant{quorumOfAlive}, func(s *stage) {
			w := s.write(1, 1)
			w.round("A")
			w.resend() // B and C are paused
			w.round("A")
			w.resend()
			s.read(2).rounds("BC")
		}, "ny"},
		{"CE3 split brain", "ABC", []variant{quorumOfAlive}, func(s *stage) {
			w := s.write(1, 1)
			w.round("A")
			w.resend()
			w.round("A")
			w.resend()
			s.write(2, 2).rounds("BC")
			r := s.read(1)
			r.round("A")
			r.resend()
		}, "nyn"},
		{"CE4 late suspicion", "ABCDE", []variant{quorumOfAlive}, func(s *stage) {
			w := s.write(1, 1)
			w.resend() // all are suspected: the new list
			w.round("AB")
			w.resend()
			w.round("AB")
			w.resend()
			s.read(2).rounds("CDE") // the old list
		}, "ny"},
		{"CE5 flapping", "ABC", []variant{quorumOfAlive}, func(s *stage) {
			s.write(1, 1).rounds("AB") // C missed it
			r := s.read(2)
			r.round("C") // and is the first alive again
			r.resend()
		}, "yn"},
		{"CE6 forgetful replica", "ABC", []variant{forgetAndServe}, func(s *stage) {
			w := s.write(1, 1)
			w.rounds("AC")
			s.lose('C')
			r := s.read(2)
			r.rounds("BC")
			r.rounds("AB")
		}, "yy"},
		{"CE7 acknowledgement from before the loss", "ABC", []variant{recoverAndServe, forgetAndServe}, func(s *stage) {
			w := s.write(1, 1)
			w.round("AB")
			w.round("C")
			s.lose('C') // recovers from A and B, which have nothing
			w.round("B")
			r := s.read(2)
			r.round("AC")
			r.rounds("AB")
		}, "yy"},
		{"CE8 pipelined twins", "ABC", []variant{noOpNumber}, func(s *stage) { twins(s, 1, 1) }, "yyyyy"},
		{"CE9 zombie retry", "ABC", []variant{newTagOnRetry}, func(s *stage) {
			w := s.write(1, 1)
			w.round("AB")
			w.round("A")
			s.read(3).rounds("AB")
			s.write(2, 2).rounds("AB")
			s.read(3).rounds("AB")
			w.resend()
			w.rounds("AB")
			s.read(3).rounds("AB")
		}, "yyyyy"},
		{"CE10 stale phase", "ABC", []variant{countStale}, func(s *stage) {
			w := s.write(1, 1)
			late := w.ask("C") // its tag comes late
			w.round("AB")
			w.round("A")
			w.give(late)
			s.read(2).rounds("BC")
		}, "ny"},
		{"CE11 duplicate", "ABC", []variant{countDuplicates}, func(s *stage) {
			w := s.write(1, 1)
			w.round("AB")
			ack := w.ask("A")
			w.give(ack)
			w.give(ack)
			s.read(2).rounds("BC")
		}, "ny"},
		{"CE12 even n", "ABCD", []variant{halfQuorum}, func(s *stage) {
			s.write(1, 1).rounds("AB")
			s.read(2).rounds("CD")
		}, "nn"},
		{"CE13 change without a fence", "ABC", []variant{noFence}, func(s *stage) {
			w := s.write(1, 1)
			w.round("AB")
			s.change("BCD")
			s.finish("BC", "CD")
			w.round("AB") // a client that slept
			r := s.read(2)
			r.rounds("CD")
			w.rounds("BCD")
			s.read(2).rounds("CD")
		}, "yyy"},
		{"CE14 fence passes a disk that is slow", "ABC", []variant{lateAnswer, noFence}, func(s *stage) {
			w := s.write(1, 1)
			w.round("AB")
			s.disks = false
			w.round("AB") // received in epoch 1, on no disk
			s.change("BCD")
			copying := s.call(99)
			a := &act{s: s, name: "the copy", o: NewCopy(copying)}
			a.o.planted = s.planted
			a.pending = a.o.Start()
			a.give(a.ask("BC"))
			s.config.Epoch, s.config.Members, s.config.Next = 3, s.config.Next, nil
			s.adopt()
			s.sync("AB")
			s.disks = true
			s.read(2).rounds("CD")
			w.rounds("BCD")
			s.read(2).rounds("CD")
		}, "yyy"},
		{"CE15 the new replicas alone", "ABC", []variant{newOnly}, func(s *stage) {
			s.write(1, 1).rounds("AB")
			s.change("DEF")
			r := s.read(2)
			r.round("DE")
			r.rounds("BCDE")
		}, "yy"},
		{"CE16 copy of one", "ABC", []variant{copyFromOne}, func(s *stage) {
			s.write(1, 1).rounds("AB")
			s.change("BCD")
			s.finish("CB", "CD")
			s.read(2).rounds("CD")
		}, "yy"},
		{"CE17 two of five agree", "ABCDE", []variant{twoAgree, noWriteBack}, func(s *stage) {
			w := s.write(1, 1)
			w.round("ABC")
			w.round("AB")
			s.read(2).rounds("ABC")
			s.read(3).rounds("CDE")
		}, "nyy"},
		{"CE18 write-back to one", "ABC", []variant{writeBackToOne, noWriteBack}, func(s *stage) {
			w := s.write(1, 1)
			w.round("AB")
			w.round("A")
			r := s.read(2)
			r.round("AB")
			r.round("A")
			s.read(3).rounds("BC")
		}, "nny"},
		{"CE19 write to one", "ABC", []variant{writeToOne}, func(s *stage) {
			w := s.write(1, 1)
			w.round("AB")
			w.round("A")
			s.read(2).rounds("BC")
		}, "ny"},
		{"CE20 twins of two writers", "ABC", []variant{noWriter}, func(s *stage) { twins(s, 1, 2) }, "yyyyy"},
		{"CE21 old value, new tag", "ABC", []variant{newTagOnRead}, func(s *stage) {
			w := s.write(1, 1)
			w.round("AB")
			w.round("AC")
			r := s.read(3)
			r.round("AB") // they differ
			s.write(2, 2).rounds("ABC")
			r.rounds("ABC")
			s.read(4).rounds("AB")
		}, "yyyy"},
		{"CE22 last arrival wins", "ABC", []variant{overwrite}, func(s *stage) {
			w := s.write(1, 1)
			w.round("AB")
			w.round("AC")
			s.write(2, 2).rounds("AB")
			w.round("B") // a packet that was late
			s.read(3).rounds("BC")
		}, "yyy"},
		{"CE23 acknowledged before durable", "ABC", []variant{acknowledgeEarly}, func(s *stage) {
			w := s.write(1, 1)
			w.round("AB")
			s.disks = false
			w.round("AB")
			s.replicas['A'].Crash()
			s.replicas['B'].Crash()
			s.read(2).rounds("AB")
		}, "ny"},
		{"CE24 shown before durable", "ABC", []variant{showEarly}, func(s *stage) {
			w := s.write(1, 1)
			w.round("AB")
			s.disks = false
			w.round("AB")
			s.read(2).rounds("AB")
			s.replicas['A'].Crash()
			s.replicas['B'].Crash()
			s.read(3).rounds("AB")
		}, "nyy"},
	}
}

// twins are two writes that read the same tags. Whatever arrives where first, all read one of them.
func twins(s *stage, a, b int) {
	v, w := s.write(a, 1), s.write(b, 2)
	v.round("AB")
	w.round("AB")
	v.round("A")
	w.round("B")
	v.round("B")
	w.round("A")
	s.read(3).rounds("AC")
	s.read(3).rounds("BC")
	s.read(3).rounds("AC")
}

// run plays a schedule and says how it came out, and who ended.
func (c schedule) run(t testing.TB, planted variants) (s *stage, ends string, verdict error) {
	s = newStage(t, planted, c.members)
	c.play(s)
	for _, a := range s.ops {
		if a.o.Done() {
			ends += "y"
		} else {
			ends += "n"
		}
	}
	return s, ends, linearizable(s.history())
}

// The protocol survives each schedule.
func TestSchedules(t *testing.T) {
	for _, c := range schedules() {
		t.Run(c.name, func(t *testing.T) {
			s, ends, err := c.run(t, 0)
			if err != nil || ends != c.ends {
				t.Errorf("got %v, ends %s; want a linearizable history, ends %s\n%s", err, ends, c.ends, strings.Join(s.story, "\n"))
			}
		})
	}
}

// Each shortcut fails on the schedules that are named after it, so the schedules prove something.
func TestShortcutsFailTheirSchedules(t *testing.T) {
	found := map[variant]bool{}
	for _, c := range schedules() {
		for _, v := range c.breaks {
			found[v] = true
			t.Run(v.String()+"/"+c.name, func(t *testing.T) {
				if s, _, err := c.run(t, 1<<v); err == nil {
					t.Errorf("%s got through\n%s", v, strings.Join(s.story, "\n"))
				}
			})
		}
	}
	for v := range variantEnd {
		if !found[v] {
			t.Errorf("no schedule is for %s", v)
		}
	}
}
