package sysdump

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"dmalloc/message"
)

// Options are what a dump says about itself.
type Options struct {
	Now      time.Time    // stands in the archive
	Version  string       // of the program that collects
	Progress func(string) // called with words for a person; may be nil
}

// Summary is what came together.
type Summary struct {
	Files    int      `json:"files"`
	Bytes    int64    `json:"bytes"` // before compression
	Nodes    int      `json:"nodes"` // that answered
	Silent   int      `json:"silent"`
	Problems []string `json:"problems"`
}

// archive writes files into a compressed tar, up to maxAll bytes.
type archive struct {
	gz    *gzip.Writer
	tar   *tar.Writer
	root  string // the directory in which everything lies
	now   time.Time
	sum   Summary
	index bytes.Buffer
}

// Write collects everything into a .tar.gz. It returns an error only if w fails or ctx ends.
func Write(ctx context.Context, s Source, w io.Writer, o Options) (Summary, error) {
	gz := gzip.NewWriter(w)
	a := &archive{gz: gz, tar: tar.NewWriter(gz), now: o.Now.Truncate(time.Second), root: "sysdump-" + o.Now.UTC().Format("20060102-150405") + "/"}
	say := func(format string, args ...any) {
		if o.Progress != nil {
			o.Progress(fmt.Sprintf(format, args...))
		}
	}
	say("asking the cluster")
	cluster, d := collectCluster(ctx, s)
	if err := a.part(cluster); err != nil {
		return a.sum, err
	}
	done := 0
	err := eachNode(ctx, s, d, func(p *part) error {
		done++
		say("%d of %d nodes", done, len(d.Present()))
		if p.answers {
			a.sum.Nodes++
		} else {
			a.sum.Silent++
		}
		return a.part(p)
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return a.sum, err
	}
	return a.sum, a.finish(o)
}

// eachNode asks the nodes side by side and hands over what came of each, in their order. A slot is free again
// when its part was handed over, so that no more than width parts are in memory.
func eachNode(ctx context.Context, s Source, d *message.Directory, f func(*part) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel()
	slots := make(chan struct{}, width)
	nodes := d.Present()
	parts := make([]chan *part, len(nodes))
	for i := range parts {
		parts[i] = make(chan *part, 1)
	}
	tasks.Go(func() {
		for i, n := range nodes {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			tasks.Go(func() { parts[i] <- collectNode(ctx, s, d, n.ID) })
		}
	})
	for i := range parts {
		select {
		case p := <-parts[i]:
			if err := f(p); err != nil {
				return err
			}
			<-slots
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// part writes what came of one source.
func (a *archive) part(p *part) error {
	for _, f := range p.files {
		if a.sum.Bytes+int64(len(f.data)) > maxAll {
			p.problems = append(p.problems, problem{f.name, "left out: the archive would be over " + message.FormatSize(maxAll)})
			continue
		}
		if err := a.file(f.name, f.data); err != nil {
			return err
		}
	}
	for _, x := range p.problems {
		a.sum.Problems = append(a.sum.Problems, x.String())
	}
	return nil
}

func (a *archive) file(name string, data []byte) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: a.root + name, Mode: 0o644, Size: int64(len(data)), ModTime: a.now, Format: tar.FormatPAX}
	if err := a.tar.WriteHeader(h); err != nil {
		return fmt.Errorf("write %s into the archive: %w", name, err)
	}
	if _, err := a.tar.Write(data); err != nil {
		return fmt.Errorf("write %s into the archive: %w", name, err)
	}
	a.sum.Files++
	a.sum.Bytes += int64(len(data))
	fmt.Fprintf(&a.index, "%10d  %s\n", len(data), name)
	return nil
}

// finish adds what is missing and what is there, and ends the archive.
func (a *archive) finish(o Options) error {
	problems := strings.Join(a.sum.Problems, "\n")
	if problems == "" {
		problems = "everything was collected"
	}
	if err := a.file("problems.txt", []byte(problems+"\n")); err != nil {
		return err
	}
	about := fmt.Sprintf("sysdump of a dmalloc cluster, %s, by dmalloc %s\n%d nodes answered, %d did not; problems.txt says what is missing and why\n\n%s",
		o.Now.UTC().Format(time.RFC3339), o.Version, a.sum.Nodes, a.sum.Silent, a.index.String())
	if err := a.file("index.txt", []byte(about)); err != nil {
		return err
	}
	if err := a.tar.Close(); err != nil {
		return fmt.Errorf("end the archive: %w", err)
	}
	if err := a.gz.Close(); err != nil {
		return fmt.Errorf("end the archive: %w", err)
	}
	return nil
}
