package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"dmalloc/certs"
	"dmalloc/client"
	"dmalloc/cluster"
	"dmalloc/doctor"
	"dmalloc/message"
)

const (
	hostTime  = 5 * time.Second // that reaching a host may take
	hostsOnce = 8               // hosts that are tried at a time
	// firstPort is tried where no port is asked for; any will do, and up finds others by itself.
	firstPort = "127.0.0.1:0"
)

// doctorFlags say what is to be looked at.
type doctorFlags struct {
	certs    string
	nodes    int
	data     string
	hostfile string
	agent    string
	connect  string
	port     int
	http     string
	memory   size
	output   string
}

// doctorCommand checks what a cluster stands on.
func doctorCommand() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor [--data DIR] [--hostfile FILE] [--connect HOST:PORT]",
		Short: "check ports, disk, clock, limits, versions and hosts before a cluster is blamed",
		Long: `doctor checks what a cluster stands on, a line a check: PASS, WARN (it may be slow, or something beside it is
missing) or FAIL (a cluster will not start here or not keep its promises). With --connect it also asks a cluster
that is up. It leaves nothing behind. The exit status is 1 if a check failed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			facts, err := f.facts(cmd.Context(), cmd.Flags().Changed("nodes"))
			if err != nil {
				return err
			}
			findings := doctor.Judge(facts)
			if err := printFindings(findings, f.output); err != nil {
				return exit{exitFailed, err}
			}
			if doctor.Worst(findings) == doctor.Fail {
				return exit{status: exitFailed}
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.IntVarP(&f.nodes, "nodes", "n", cluster.DefaultNodes, "how many nodes are to run here")
	fl.StringVar(&f.data, "data", "", "the directory that is to keep the data")
	fl.StringVar(&f.hostfile, "hostfile", "", "check that these hosts can be reached")
	fl.StringVar(&f.agent, "agent", cluster.DefaultAgent, "how hosts that are not this machine are reached: AGENT HOST COMMAND…")
	fl.StringVar(&f.certs, "certs", "", certsUsage)
	fl.StringVar(&f.connect, "connect", os.Getenv("DMALLOC_CONNECT"), "also ask the cluster of which a node listens there")
	fl.IntVar(&f.port, "port", 0, "port of node 0's messages; node i listens on PORT+i")
	fl.StringVar(&f.http, "http", "", "HOST:PORT of node 0's HTTP; node i listens on PORT+i")
	fl.Var(&f.memory, "memory", "bytes of heap that each node is to give")
	fl.StringVarP(&f.output, "output", "o", "table", "how findings are printed: table or json")
	return cmd
}

// facts measures what was asked for. Its error is the command line's.
func (f *doctorFlags) facts(ctx context.Context, given bool) (facts doctor.Facts, err error) {
	switch {
	case f.output != "table" && f.output != "json":
		return facts, usage("-o %s: use table or json", f.output)
	case f.nodes < 1 || f.nodes > message.MaxNodes:
		return facts, usage("-n %d: a cluster has 1 to %d nodes", f.nodes, message.MaxNodes)
	case f.port < 0 || f.port > 65535:
		return facts, usage("--port %d: ports go from 1 to 65535", f.port)
	case len(strings.Fields(f.agent)) == 0:
		return facts, usage("--agent is empty; use for example ssh")
	}
	if f.hostfile != "" {
		all, err := cluster.ReadHostfile(f.hostfile)
		if err != nil {
			facts.HostErr = err.Error()
		}
		if here := slotsHere(all); !given && here > 0 {
			f.nodes = min(here, f.nodes)
		}
		facts.Hosts = reach(ctx, f.agent, all)
	}
	facts.Nodes, facts.Memory = f.nodes, uint64(f.memory)
	if kept, ok, err := cluster.Kept(f.data); f.data != "" && err == nil && ok && !given {
		facts.Nodes = kept.Nodes
	}
	facts.Ports = f.ports(facts.Nodes)
	facts.Clock = doctor.MeasureClock(func() { facts.Disk = doctor.MeasureDisk(f.data) })
	facts.Limits, facts.Tools = doctor.MeasureLimits(), doctor.MeasureTools()
	if f.connect != "" {
		facts.Cluster = askCluster(ctx, f.connect, f.certs)
	}
	return facts, nil
}

func (f *doctorFlags) ports(nodes int) (all []doctor.Port) {
	if f.port > 0 {
		all = append(all, doctor.MeasurePorts(fmt.Sprintf("127.0.0.1:%d", f.port), nodes)...)
	}
	if f.http != "" {
		all = append(all, doctor.MeasurePorts(f.http, nodes)...)
	}
	if len(all) == 0 {
		all = doctor.MeasurePorts(firstPort, 1)
	}
	return all
}

// slotsHere is how many nodes a hostfile puts on this machine.
func slotsHere(hosts []cluster.Host) (slots int) {
	for _, h := range hosts {
		if h.Local() {
			slots += h.Slots
		}
	}
	return slots
}

// reach has the agent run `true` on each host that is not this machine.
func reach(ctx context.Context, agent string, hosts []cluster.Host) []doctor.Host {
	out := make([]doctor.Host, len(hosts))
	slots := make(chan struct{}, hostsOnce)
	var tasks sync.WaitGroup
	for i, h := range hosts {
		out[i].Name = h.Name
		if h.Local() {
			continue
		}
		tasks.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := runAgent(ctx, agent, h.Name); err != nil {
				out[i].Err = err.Error()
			}
		})
	}
	tasks.Wait()
	return out
}

func runAgent(ctx context.Context, agent, host string) error {
	ctx, cancel := context.WithTimeout(ctx, hostTime)
	defer cancel()
	words := append(strings.Fields(agent), host, "true")
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // an agent without a terminal cannot ask for a password
	cmd.WaitDelay = time.Second
	var said bytes.Buffer
	cmd.Stderr = &said
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s gave no answer within %v", words[0], hostTime)
	}
	if last := strings.TrimSpace(said.String()); last != "" {
		err = errors.New(message.Quote(last))
	}
	return fmt.Errorf("%s: %w", words[0], err)
}

// askCluster asks a cluster that is up how it is.
func askCluster(ctx context.Context, address, dir string) *doctor.Cluster {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out := &doctor.Cluster{Own: version(), Versions: map[message.NodeID]string{}, Clocks: map[message.NodeID]doctor.Offset{}}
	own, err := as(dir, certs.Client)
	if err != nil {
		out.Err = err.Error()
		return out
	}
	c, err := client.DialWith(ctx, address, own)
	if err != nil {
		out.Err = err.Error()
		return out
	}
	defer c.Close()
	report, err := c.Status(ctx)
	if err != nil {
		out.Err = err.Error()
		return out
	}
	out.Verdict, out.State = report.Verdict, string(report.State)
	for _, n := range report.Nodes {
		if n.Answers {
			out.Versions[n.ID] = n.Version
		}
		if n.Clock != nil {
			out.Clocks[n.ID] = doctor.Offset{Ahead: time.Duration(n.Clock.AheadMS) * time.Millisecond, Within: time.Duration(n.Clock.WithinMS) * time.Millisecond}
		}
		if n.DiskFree > 0 && n.DiskFree < doctor.LittleDisk {
			out.Warnings = append(out.Warnings, fmt.Sprintf("node %s has %s left on its disk", n.ID, message.FormatSize(n.DiskFree>>20<<20)))
		}
	}
	return out
}

// printFindings prints a line a finding, or one JSON object.
func printFindings(all []doctor.Finding, output string) error {
	worst := doctor.Worst(all)
	if output == "json" {
		return json.NewEncoder(os.Stdout).Encode(struct {
			Cmd      string           `json:"cmd"`
			OK       bool             `json:"ok"`
			Verdict  doctor.Level     `json:"verdict"`
			Findings []doctor.Finding `json:"findings"`
		}{"doctor", worst != doctor.Fail, worst, all})
	}
	for _, x := range all {
		fmt.Printf("%-4s  %-10s %s\n", x.Level, x.Check, x.Says)
		if x.Do != "" {
			fmt.Printf("%17s%s\n", "", x.Do)
		}
	}
	return nil
}
