package certs

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"dmalloc/message"
)

// monday is when the certificates of most tests are made.
var monday = time.Date(2030, time.July, 1, 12, 0, 0, 0, time.UTC)

func clock(at time.Time) func() time.Time { return func() time.Time { return at } }

// made is a directory with certificates of so many nodes, made on monday.
func made(t testing.TB, nodes int, hosts ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "certs")
	if err := MakeAt(dir, hosts, nodes, monday); err != nil {
		t.Fatal(err)
	}
	return dir
}

func listed(t testing.TB, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func leaf(t testing.TB, dir string, r Role) *x509.Certificate {
	t.Helper()
	list, _, err := readCertificates(filepath.Join(dir, r.certificate()))
	if err != nil {
		t.Fatal(err)
	}
	return list[0]
}

// says expects an error of a class, with these words.
func says(t testing.TB, err error, code message.Code, words ...string) {
	t.Helper()
	if message.CodeOf(err) != code {
		t.Errorf("%v: class %v, want %v", err, message.CodeOf(err), code)
	}
	for _, w := range words {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("%v does not say %q", err, w)
		}
	}
}

func TestMake(t *testing.T) {
	dir := made(t, 2, "Heap.example", "10.1.2.3", "heap.example", "::ffff:10.1.2.3", "fd00::1")
	want := []string{"ca.crt", "ca.key", "client.crt", "client.key", "launcher.crt", "launcher.key", "node-0.crt", "node-0.key", "node-1.crt", "node-1.key"}
	if got := listed(t, dir); !reflect.DeepEqual(got, want) {
		t.Fatalf("%v", got)
	}
	for _, name := range want {
		info, err := os.Stat(filepath.Join(dir, name))
		mode := map[string]os.FileMode{".crt": 0o644, ".key": 0o600}[filepath.Ext(name)]
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v %v, want %v", name, info.Mode(), err, mode)
		}
	}
	for _, c := range []struct {
		role  Role
		uri   string
		uses  int
		hosts string
	}{
		{Node(0), "dmalloc://clusterless/node/0", 2, "localhost heap.example [127.0.0.1 ::1 10.1.2.3 fd00::1]"},
		{Node(1), "dmalloc://clusterless/node/1", 2, "localhost heap.example [127.0.0.1 ::1 10.1.2.3 fd00::1]"},
		{Launcher, "dmalloc://clusterless/launcher", 2, "localhost heap.example [127.0.0.1 ::1 10.1.2.3 fd00::1]"},
		{Client, "dmalloc://clusterless/client", 1, " []"},
	} {
		l := leaf(t, dir, c.role)
		var ips []string
		for _, ip := range l.IPAddresses {
			ips = append(ips, ip.String())
		}
		hosts := strings.Join(l.DNSNames, " ") + " [" + strings.Join(ips, " ") + "]"
		if len(l.URIs) != 1 || l.URIs[0].String() != c.uri || len(l.ExtKeyUsage) != c.uses || hosts != c.hosts {
			t.Errorf("%s: %v %v %q", c.role, l.URIs, l.ExtKeyUsage, hosts)
		}
		if !l.NotAfter.Equal(monday.AddDate(1, 0, 0)) || !l.NotBefore.Before(monday) || l.IsCA {
			t.Errorf("%s: from %v to %v, authority %v", c.role, l.NotBefore, l.NotAfter, l.IsCA)
		}
		if _, err := loadAt(dir, c.role, clock(monday)); err != nil {
			t.Error(err)
		}
		if r, err := RoleOf(l); err != nil || r != c.role {
			t.Errorf("%s is %s, %v", c.role, r, err)
		}
	}
	a, _, err := readCertificates(filepath.Join(dir, "ca.crt"))
	if err != nil || len(a) != 1 || !a[0].IsCA || !a[0].NotAfter.Equal(monday.AddDate(10, 0, 0)) {
		t.Fatal(a, err)
	}
}

func TestMakeOverwritesNothing(t *testing.T) {
	for _, name := range []string{"ca.key", "ca.crt", "client.key", "node-1.crt"} {
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		says(t, MakeAt(dir, nil, 2, monday), message.InvalidArgument, path+" is there already", "nothing is overwritten")
		if got := listed(t, dir); len(got) != 1 {
			t.Errorf("%v is left", got)
		}
		if b, _ := os.ReadFile(path); string(b) != "mine" {
			t.Errorf("%s is %q now", name, b)
		}
	}
	dir := made(t, 1)
	says(t, Make(dir, nil, 1), message.InvalidArgument, "is there already")
}

// Of many who make at once in one directory, one succeeds and its files are whole (C1).
func TestMakeAtOnce(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	results := make(chan error, 8)
	for range cap(results) {
		all.Go(func() { results <- MakeAt(dir, nil, 3, monday) })
	}
	all.Wait()
	made := 0
	for range cap(results) {
		if <-results == nil {
			made++
		}
	}
	if made != 1 {
		t.Fatalf("%d succeeded", made)
	}
	for _, r := range roles(3) {
		if _, err := loadAt(dir, r, clock(monday)); err != nil {
			t.Error(err)
		}
	}
}

// What cannot be finished leaves nothing behind.
func TestMakeFails(t *testing.T) {
	for _, c := range []struct {
		name  string
		hosts []string
		nodes int
		says  string
	}{
		{"no nodes", nil, 0, "0 nodes"},
		{"too many nodes", nil, int(message.MaxNodes) + 1, "nodes were asked for"},
		{"a port", []string{"10.0.0.1:7000"}, 1, `"10.0.0.1:7000" is no host's name`},
		{"brackets", []string{"[::1]"}, 1, "without a port, brackets"},
		{"a zone", []string{"fe80::1%eth0"}, 1, "zone"},
		{"nothing", []string{""}, 1, `"" is no host's name`},
		{"a wildcard", []string{"*.example"}, 1, "is no host's name"},
		{"a line break", []string{"a\nb"}, 1, "is no host's name"},
		{"a long label", []string{strings.Repeat("x", 64)}, 1, "is no host's name"},
		{"many", make([]string, 1001), 1, "at most 1000"},
	} {
		dir := filepath.Join(t.TempDir(), "new")
		err := MakeAt(dir, c.hosts, c.nodes, monday)
		says(t, err, message.InvalidArgument, c.says, "certs.Make")
		if exists(dir) {
			t.Errorf("%s: the directory is there", c.name)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	says(t, MakeAt(file, nil, 1, monday), message.Unavailable, file)
}

func TestRenew(t *testing.T) {
	dir := made(t, 2, "heap.example")
	key, err := os.ReadFile(filepath.Join(dir, "node-1.key"))
	if err != nil {
		t.Fatal(err)
	}
	later := monday.AddDate(2, 0, 0) // all but the authority has expired
	if err := RenewAt(dir, nil, 3, later); err != nil {
		t.Fatal(err)
	}
	for _, r := range roles(3) {
		if _, err := loadAt(dir, r, clock(later)); err != nil {
			t.Error(err)
		}
	}
	again, err := os.ReadFile(filepath.Join(dir, "node-1.key"))
	if err != nil || string(again) != string(key) {
		t.Error("the key changed, so that certificate and key did not change at once")
	}
	for _, r := range []Role{Node(0), Node(2), Launcher} {
		if got := leaf(t, dir, r).DNSNames; !reflect.DeepEqual(got, []string{"localhost", "heap.example"}) {
			t.Errorf("%s: %v", r, got)
		}
	}
	if err := RenewAt(dir, []string{"new.example"}, 1, later); err != nil {
		t.Fatal(err)
	}
	if got := leaf(t, dir, Node(2)).DNSNames; !reflect.DeepEqual(got, []string{"localhost", "new.example"}) {
		t.Errorf("node 2, which exists, is for %v", got)
	}
	// Nothing outlives its authority.
	if err := RenewAt(dir, nil, 0, monday.AddDate(9, 6, 0)); err != nil {
		t.Fatal(err)
	}
	if got := leaf(t, dir, Client).NotAfter; !got.Equal(monday.AddDate(10, 0, 0)) {
		t.Errorf("until %v", got)
	}
	says(t, RenewAt(dir, nil, 0, monday.AddDate(10, 0, 1)), message.Forbidden, "ca.crt expired on", "certs.Renew")
	says(t, RenewAt(dir, nil, -1, monday), message.InvalidArgument, "-1 nodes")
	if err := take(made(t, 1), "ca.key", "ca.key")(t, dir); err != nil {
		t.Fatal(err)
	}
	says(t, RenewAt(dir, nil, 0, monday), message.InvalidArgument, "ca.key is not the key of ca.crt")
	if err := os.Remove(filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	says(t, RenewAt(dir, nil, 0, monday), message.InvalidArgument, "ca.key is missing")
}

func FuzzHosts(f *testing.F) {
	f.Add("heap.example", "10.0.0.1")
	f.Add("::1", "a..b")
	f.Fuzz(func(t *testing.T, a, b string) {
		n, err := parseHosts([]string{a, b})
		if err != nil {
			says(t, err, message.InvalidArgument)
			return
		}
		again := append([]string(nil), n.dns...)
		for _, ip := range n.ips {
			again = append(again, ip.String())
		}
		if m, err := parseHosts(again); err != nil || !reflect.DeepEqual(m, n) {
			t.Fatalf("%v, then %v %v", n, m, err)
		}
	})
}
