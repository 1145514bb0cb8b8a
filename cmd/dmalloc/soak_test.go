//go:build soak

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"dmalloc/drill"
)

// A long drill: 30 minutes, or DMALLOC_SOAK, in rounds of at most five minutes with a seed each, so that the
// checker has the time that it needs and a failure names a short run. All kinds of faults come, unless
// DMALLOC_SOAK_FAULTS lists some, to clusters of one size after the other. Run it with -timeout 0.
func TestSoak(t *testing.T) {
	length := 30 * time.Minute
	if text := os.Getenv("DMALLOC_SOAK"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatalf("DMALLOC_SOAK: %v", err)
		}
	}
	faults := os.Getenv("DMALLOC_SOAK_FAULTS")
	if faults == "" {
		var all []string
		for _, k := range drill.Kinds() {
			all = append(all, string(k))
		}
		faults = strings.Join(all, ",")
	}
	sizes := []string{"-n 5 --replace-after 2s", "-n 3 --replicas 3", "-n 5 --replicas 5 --register-replicas 5"}
	seed := uint64(time.Now().UnixNano())
	for begin := time.Now(); time.Since(begin) < length && !t.Failed(); seed++ {
		round := max(time.Second, min(length-time.Since(begin), 5*time.Minute).Round(time.Second))
		size := sizes[seed%uint64(len(sizes))]
		faults := faults
		if !strings.Contains(size, "--replace-after") {
			faults = strings.Join(slices.DeleteFunc(strings.Split(faults, ","), func(k string) bool { return strings.HasPrefix(k, string(drill.Replace)) }), ",")
		}
		t.Run(fmt.Sprintf("%d: %s", seed, size), func(t *testing.T) {
			if v, status := runDrill(t, binary, "", size, "", fmt.Sprintf("--seed %d --for %v --faults %s", seed, round, faults)); v.Verdict != "pass" || status != exitOK {
				t.Errorf("%+v, exit status %d", v, status)
			}
		})
	}
}
