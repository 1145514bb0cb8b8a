package owner

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lni/dragonboat/v4"

	"dmalloc/message"
	"dmalloc/owner/tanlog"
)

// files reads a directory of the system.
func files(t testing.TB, dir string) tree {
	t.Helper()
	all := tree{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		at := strings.TrimPrefix(p, dir)
		if d.IsDir() {
			all[at+"/"] = ""
			return nil
		}
		b, err := os.ReadFile(p)
		all[at] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// fileKind is what a kept file is for.
func fileKind(path string) string {
	name := filepath.Base(path)
	if ext := filepath.Ext(name); ext == ".log" || ext == ".index" || ext == ".gbsnap" {
		return ext
	}
	name, _, _ = strings.Cut(name, "-")
	return name
}

// fileKinds are the kept files of a replica. LOCK is one more, and empty.
var fileKinds = []string{".log", ".index", "MANIFEST", "CURRENT", "BOOTSTRAP", ".gbsnap", "snapshot.metadata", "NODEHOST.ID", "dragonboat.ds"}

// keptImages makes the files of a node that took a snapshot and ended cleanly, and those of one that was killed. Both
// hold the numbers below the one that comes along.
func keptImages(t *testing.T) (ended, killed tree, next uint64) {
	t.Helper()
	dir := t.TempDir()
	cfg := alone(dir)
	for life := range 2 {
		h, r, _, err := openAlone(cfg)
		if err != nil {
			t.Fatal(err)
		}
		caughtUp(t, r)
		for ; next < uint64(40*(life+1)); next++ {
			if code := propose(r, next, 200); code != message.Done {
				t.Fatalf("write %d: %s", next, code)
			}
			if next == 20 {
				s, err := h.nh.RequestSnapshot(1, dragonboat.SnapshotOption{OverrideCompactionOverhead: true, CompactionOverhead: 5}, 10*time.Second)
				if err != nil {
					t.Fatal(err)
				}
				<-s.ResultC()
			}
		}
		if life == 1 {
			killed = files(t, dir) // a company of one is at rest when it has answered
		}
		h.Close()
	}
	return files(t, dir), killed, next
}

// What was altered on the disk while the node was down is found before anything is served from it, or it changes
// nothing. The one thing that cannot be told from a crash is a last log that lost its end: what is left of it is what
// was written.
func TestAlteredFilesAreNeverServed(t *testing.T) {
	ended, killed, next := keptImages(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	const rounds = 4
	var tried, refused, harmless, torn int
	count := map[string]int{}
	for round := range rounds {
		for _, image := range []struct {
			name string
			tree tree
		}{{"ended", ended}, {"killed", killed}} {
			for _, path := range image.tree.paths() {
				for _, alter := range alterations {
					content := image.tree[path]
					if content == "" || !slices.Contains(fileKinds, fileKind(path)) {
						continue
					}
					changed := alter.of(rnd, round, content)
					if changed == content {
						continue
					}
					what := fmt.Sprintf("%s of %s of the %s node", alter.name, path, image.name)
					altered := tree{}
					for p, b := range image.tree {
						altered[p] = b
					}
					altered[path] = changed
					tried++
					count[fileKind(path)]++
					switch n, err := startFrom(t, altered); {
					case isDamage(err):
						refused++
					case err != nil:
						t.Errorf("%s: it is not said to be damage: %v", what, err)
					case n == next:
						harmless++
					case alter.name == "a cut" && fileKind(path) == ".log" && image.name == "killed" && image.tree[strings.TrimSuffix(path, ".log")+".index"] == "":
						torn++
					default:
						t.Errorf("%s: the node starts with %d of %d numbers", what, n, next)
					}
				}
			}
		}
	}
	t.Logf("%d alterations: %d refused, %d harmless, %d like a crash; by file: %v", tried, refused, harmless, torn, count)
	if tried < 200 {
		t.Errorf("only %d alterations were tried", tried)
	}
	for _, k := range fileKinds {
		if count[k] == 0 {
			t.Errorf("no %s was altered", k)
		}
	}
	if refused < tried/2 {
		t.Errorf("only %d of %d alterations were refused", refused, tried)
	}
}

var alterations = []struct {
	name string
	of   func(rnd *rand.Rand, round int, content string) string
}{
	{"a flipped bit", func(rnd *rand.Rand, _ int, content string) string {
		b := []byte(content)
		b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
		return string(b)
	}},
	{"a zeroed part", func(rnd *rand.Rand, _ int, content string) string {
		b := []byte(content)
		at := rnd.IntN(len(b))
		clear(b[at:min(len(b), at+1+rnd.IntN(64))])
		return string(b)
	}},
	{"a cut", func(rnd *rand.Rand, round int, content string) string {
		if round == 0 {
			return ""
		}
		return content[:rnd.IntN(len(content))]
	}},
}

func isDamage(err error) bool {
	var d *tanlog.DamageError
	return errors.As(err, &d)
}

// startFrom starts a node from files and says how many numbers it has: exactly the first ones, in their order.
func startFrom(t *testing.T, image tree) (uint64, error) {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := image.save(dir); err != nil {
		t.Fatal(err)
	}
	h, r, state, err := openAlone(alone(dir))
	if err != nil {
		if after := files(t, dir); isDamage(err) && !sameFiles(image, after) {
			t.Errorf("the files that are refused were changed: %v", err)
		}
		return 0, err
	}
	defer h.Close()
	caughtUp(t, r)
	var n uint64
	r.View(func(Machine) {
		for _, seq := range state.seqs {
			if seq != n {
				t.Errorf("number %d is served where %d was written", seq, n)
			}
			n++
		}
	})
	return n, nil
}

func sameFiles(a, b tree) bool {
	x, y := a.paths(), b.paths()
	return slices.Equal(x, y) && !slices.ContainsFunc(x, func(p string) bool { return !bytes.Equal([]byte(a[p]), []byte(b[p])) })
}
