package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"dmalloc/sim"
)

// again is the command that tells one history.
func again(c sim.Config) string {
	s := fmt.Sprintf("dmalloc sim --story --seed %d", c.Seed)
	for _, o := range []struct {
		flag  string
		value uint64
	}{{"salt", c.Salt}, {"clients", uint64(c.Clients)}, {"ops", uint64(c.Ops)}} {
		if o.value != 0 {
			s += fmt.Sprintf(" --%s %d", o.flag, o.value)
		}
	}
	if c.Without != 0 {
		s += fmt.Sprintf(" --without %q", c.Without)
	}
	return s
}

// simCommand plays histories of the pure core of a cluster, in this process and without a network.
func simCommand() *cobra.Command {
	var (
		count, from uint64
		workers     int
		without     string
		clients     int
		ops         int
		salt        uint64
		story       bool
		output      string
	)
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "play histories of a whole cluster's pure core under seeds, and judge each",
		Long: `sim plays the code that decides, without processes, sockets or disks: companies, the directory, registers and
clients in one goroutine, under a seed, with messages that are lost, doubled and late, leaders that are deposed,
leases that are granted, revoked and outlived, and nodes that crash, freeze, lose their disks, join, leave and are
replaced. Each history is checked; one that fails is made smaller and told as a story.
The same seed plays the same history: --seed N --story tells it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "table" && output != "json" {
				return usage("-o %s: use table or json", output)
			}
			faults, err := sim.ParseFaults(without)
			if err != nil {
				return exit{exitUsage, err}
			}
			debug.SetGCPercent(800) // a history's memory is short-lived; collecting it costs a third of the time
			if story {
				r := sim.Run(sim.Config{Seed: from, Salt: salt, Clients: clients, Ops: ops, Without: faults, Tell: true})
				for _, line := range r.Story {
					fmt.Println(line)
				}
				fmt.Println(r)
				if r.Failed() {
					return exit{exitFailed, r.Err}
				}
				return nil
			}
			begin := time.Now()
			show := newProgress(os.Stderr, output == "json")
			total, err := sim.Many(cmd.Context(), from, count, workers, func(t sim.Totals) {
				show.say(fmt.Sprintf("%d of %d histories, %d operations", t.Histories, count, t.Operations))
			})
			show.done()
			verdict := "pass"
			if total.Failed != nil {
				verdict = "fail"
			}
			if output == "json" {
				b, _ := json.Marshal(map[string]any{"cmd": "sim", "ok": verdict == "pass", "verdict": verdict, "from": from, "histories": total.Histories, "operations": total.Operations,
					"unknown": total.Unknown, "events": total.Events, "hash": fmt.Sprintf("%016x", total.Hash), "seconds": time.Since(begin).Seconds()})
				fmt.Println(string(b))
			} else {
				fmt.Printf("%s: %d histories from seed %d, %d operations (%d of unknown outcome), %d events in %.1f s; trace %016x\n",
					verdict, total.Histories, from, total.Operations, total.Unknown, total.Events, time.Since(begin).Seconds(), total.Hash)
			}
			if f := total.Failed; f != nil {
				for _, line := range f.Story {
					fmt.Fprintln(os.Stderr, line)
				}
				return exit{exitFailed, fmt.Errorf("seed %d fails: %v; to hear it again: %s", f.Config.Seed, f.Err, again(f.Config))}
			}
			if err != nil {
				return exit{exitFailed, err}
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.Uint64Var(&from, "seed", 0, "the first seed")
	fl.Uint64Var(&count, "count", 2000, "how many histories")
	fl.IntVar(&workers, "workers", runtime.NumCPU(), "histories at once")
	fl.BoolVar(&story, "story", false, "play the one history of --seed and tell it")
	fl.StringVar(&without, "without", "", "faults that are left out")
	fl.IntVar(&clients, "clients", 0, "clients of the story; 0 leaves it to the seed")
	fl.IntVar(&ops, "ops", 0, "operations of each client of the story; 0 leaves it to the seed")
	fl.Uint64Var(&salt, "salt", 0, "of a story that was made smaller")
	fl.StringVarP(&output, "output", "o", "table", "table or json")
	return cmd
}
