package cluster

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"dmalloc/message"
)

// Host is a machine of a hostfile and how many nodes it takes.
type Host struct {
	Name  string
	Slots int
	Most  int // max_slots: nodes that are added may take more than Slots, up to here; 0: nothing is said
}

const (
	localHost   = "localhost"
	maxHostLine = 4096 // bytes; a longer line is no hostfile's
	maxHostName = 253
)

// Local says whether the host is this machine.
func (h Host) Local() bool { return isLocal(h.Name) }

// LocalHosts is what stands for a hostfile when there is none: this machine, which takes any number.
func LocalHosts() []Host { return []Host{{Name: localHost, Slots: message.MaxNodes}} }

// ReadHostfile reads a hostfile from a file.
func ReadHostfile(path string) ([]Host, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, message.Errorf(message.InvalidArgument, "the hostfile cannot be read: %v", err)
	}
	defer f.Close()
	return ParseHostfile(path, f)
}

// ParseHostfile reads Open MPI's format: a line "host slots=K max_slots=M", both counts optional, with
// or without spaces around "=". A host alone has one slot; one that comes again adds its slots to the
// earlier ones. What follows # is a comment. name is for errors only.
func ParseHostfile(name string, r io.Reader) ([]Host, error) {
	var hosts []Host
	most := map[string]int{} // max_slots, where given
	at := map[string]int{}   // index in hosts
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, maxHostLine), maxHostLine)
	n := 0
	for lines.Scan() {
		n++
		h, max, err := parseHost(lines.Text())
		if err != nil {
			return nil, message.Errorf(message.InvalidArgument, "%s:%d: %v", name, n, err)
		}
		if h.Name == "" {
			continue
		}
		if max > 0 {
			if have, ok := most[h.Name]; !ok || max < have {
				most[h.Name] = max
			}
		}
		i, ok := at[h.Name]
		if !ok {
			i = len(hosts)
			at[h.Name] = i
			hosts = append(hosts, Host{Name: h.Name})
		}
		hosts[i].Slots = min(hosts[i].Slots+h.Slots, math.MaxInt32)
		hosts[i].Most = most[h.Name]
		if m, ok := most[h.Name]; ok && hosts[i].Slots > m {
			return nil, message.Errorf(message.InvalidArgument, "%s:%d: host %s has %d slots, more than its max_slots=%d; raise max_slots or lower slots",
				name, n, h.Name, hosts[i].Slots, m)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, message.Errorf(message.InvalidArgument, "%s:%d: %v", name, n+1, err)
	}
	if len(hosts) == 0 {
		return nil, message.Errorf(message.InvalidArgument, "%s names no host; write one \"host slots=K\" a line", name)
	}
	return hosts, nil
}

// parseHost reads a line; the host's name is empty where the line holds none.
func parseHost(line string) (h Host, most int, err error) {
	line, _, _ = strings.Cut(line, "#")
	words := strings.Fields(strings.ReplaceAll(line, "=", " = "))
	if len(words) == 0 {
		return h, 0, nil
	}
	h = Host{Name: words[0], Slots: 1}
	if err := checkHost(h.Name); err != nil {
		return h, 0, err
	}
	seen := map[string]bool{}
	for rest := words[1:]; len(rest) > 0; rest = rest[3:] {
		key := rest[0]
		if key != "slots" && key != "max_slots" && key != "max-slots" {
			return h, 0, fmt.Errorf("%s is unknown; after the host come slots=K and max_slots=M", message.Quote(key))
		}
		key = strings.ReplaceAll(key, "-", "_")
		if len(rest) < 3 || rest[1] != "=" {
			return h, 0, fmt.Errorf("%s needs a number, as in %s=4", key, key)
		}
		if seen[key] {
			return h, 0, fmt.Errorf("%s is given twice", key)
		}
		seen[key] = true
		n, err := strconv.ParseUint(rest[2], 10, 31)
		if err != nil || n == 0 {
			return h, 0, fmt.Errorf("%s=%s is not a number from 1 on", key, message.Quote(rest[2]))
		}
		if key == "slots" {
			h.Slots = int(n)
		} else {
			most = int(n)
		}
	}
	return h, most, nil
}

// checkHost keeps names out that an agent such as ssh would take for an option or a shell for syntax.
func checkHost(name string) error {
	bad := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_@:[]%", r))
	}
	if len(name) > maxHostName || strings.HasPrefix(name, "-") || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("%s is not the name of a host", message.Quote(name))
	}
	return nil
}

// Assign gives each of n nodes its host, by id: node 0 is on the first host, which is filled first.
func Assign(hosts []Host, n int) ([]string, error) {
	total := 0
	names := make([]string, 0, max(0, min(n, message.MaxNodes)))
	for _, h := range hosts {
		total = min(total+h.Slots, math.MaxInt32)
		for range h.Slots {
			if len(names) == cap(names) {
				break
			}
			names = append(names, h.Name)
		}
	}
	if n < 1 || n > message.MaxNodes {
		return nil, message.Errorf(message.InvalidArgument, "%d nodes cannot be started; ask for 1 to %d", n, message.MaxNodes)
	}
	if len(names) < n {
		return nil, message.Errorf(message.InvalidArgument, "%d nodes were asked for, and the hostfile has %d slots; ask for fewer or raise its slots", n, total)
	}
	return names, nil
}

// isLocal says whether a host is this machine, without asking any name server.
func isLocal(host string) bool {
	if host == "" || host == localHost {
		return true
	}
	own, err := os.Hostname()
	if err == nil && strings.EqualFold(host, own) {
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	if ip == nil {
		return false
	}
	if ip.IsLoopback() {
		return true
	}
	addresses, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(addresses, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.Equal(ip)
	})
}
