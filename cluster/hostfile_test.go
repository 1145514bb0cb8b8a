package cluster

import (
	"slices"
	"strings"
	"testing"

	"dmalloc/message"
)

func TestParseHostfile(t *testing.T) {
	for in, want := range map[string][]Host{
		"localhost slots=100":                       {{"localhost", 100, 0}},
		"a\nb\n":                                    {{"a", 1, 0}, {"b", 1, 0}},
		"a slots=2\nb slots=3 max_slots=4":          {{"a", 2, 0}, {"b", 3, 4}},
		"# all\n\n  a   slots = 2 # two\r\n\tb":     {{"a", 2, 0}, {"b", 1, 0}},
		"a slots=2\nb\na slots=3":                   {{"a", 5, 0}, {"b", 1, 0}},
		"a\na\na":                                   {{"a", 3, 0}},
		"a max_slots=2 slots= 2":                    {{"a", 2, 2}},
		"a max-slots=2":                             {{"a", 1, 2}},
		"user@10.0.0.1 slots =4":                    {{"user@10.0.0.1", 4, 0}},
		"a slots=2147483647\na slots=2147483647\na": {{"a", 1<<31 - 1, 0}},
	} {
		if got, err := ParseHostfile("hosts", strings.NewReader(in)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v; want %v", in, got, err, want)
		}
	}
}

func TestParseHostfileRefuses(t *testing.T) {
	for in, words := range map[string][]string{
		"":                               {"hosts names no host"},
		"# nothing\n":                    {"hosts names no host"},
		"a slots=0":                      {"hosts:1:", `"0"`},
		"a\nb slots=-1":                  {"hosts:2:", `"-1"`},
		"a slots=x":                      {"hosts:1:", `"x"`},
		"a slots=99999999999":            {"hosts:1:", "from 1 on"},
		"a slots":                        {"hosts:1:", "slots=4"},
		"a slots=":                       {"hosts:1:", "slots=4"},
		"a slots=1 slots=2":              {"hosts:1:", "twice"},
		"a max_slots=1 max-slots=1":      {"hosts:1:", "twice"},
		"a slot=1":                       {"hosts:1:", `"slot"`},
		"a 4":                            {"hosts:1:", `"4"`},
		"=":                              {"hosts:1:", `"="`},
		"a slots=3 max_slots=2":          {"hosts:1:", "3 slots", "max_slots=2"},
		"a max_slots=2\na\na":            {"hosts:3:", "3 slots", "max_slots=2"},
		"-oProxyCommand=x":               {"hosts:1:"},
		"a;reboot":                       {"hosts:1:", `"a;reboot"`},
		"$(reboot)":                      {"hosts:1:"},
		strings.Repeat("a", 300):         {"hosts:1:"},
		"a\n" + strings.Repeat(" ", 1e4): {"hosts:2:"},
	} {
		got, err := ParseHostfile("hosts", strings.NewReader(in))
		if err == nil {
			t.Errorf("%q was taken as %v", in, got)
			continue
		}
		refused(t, err, message.InvalidArgument, words...)
	}
	_, err := ReadHostfile("/nonexistent/hosts")
	refused(t, err, message.InvalidArgument, "/nonexistent/hosts")
}

func TestAssign(t *testing.T) {
	hosts := []Host{{"a", 2, 0}, {"b", 1, 0}, {"c", 3, 0}}
	if got, err := Assign(hosts, 5); err != nil || !slices.Equal(got, []string{"a", "a", "b", "c", "c"}) {
		t.Errorf("%v, %v", got, err)
	}
	_, err := Assign(hosts, 7)
	refused(t, err, message.InvalidArgument, "7 nodes", "6 slots")
	for _, n := range []int{0, -1, message.MaxNodes + 1, 1 << 40} {
		_, err := Assign(LocalHosts(), n)
		refused(t, err, message.InvalidArgument, "1 to 1024")
	}
}

func TestIsLocal(t *testing.T) {
	for host, want := range map[string]bool{"": true, "localhost": true, "127.0.0.1": true, "::1": true, "[::1]": true, "127.9.9.9": true,
		"alpha.example": false, "192.0.2.1": false, "localhost.example": false} {
		if isLocal(host) != want {
			t.Errorf("isLocal(%q) = %v", host, !want)
		}
	}
}

func FuzzParseHostfile(f *testing.F) {
	for _, s := range []string{"localhost slots=100", "a slots = 2 # two\nb max_slots=4", "a\na\n", "=", "a slots=0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		hosts, err := ParseHostfile("hosts", strings.NewReader(s))
		if err != nil {
			refused(t, err, message.InvalidArgument)
			return
		}
		seen := map[string]bool{}
		for _, h := range hosts {
			if h.Slots < 1 || seen[h.Name] || checkHost(h.Name) != nil || h.Name == "" {
				t.Fatalf("%q gave %v", s, hosts)
			}
			seen[h.Name] = true
		}
		if names, err := Assign(hosts, 1); err != nil || names[0] != hosts[0].Name {
			t.Fatalf("node 0 is on %v (%v); want the first of %v", names, err, hosts)
		}
	})
}
