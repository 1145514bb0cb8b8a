package repl

import (
	"fmt"
	"io"

	"dmalloc/message"
	"dmalloc/sysdump"
)

// sysdump writes an archive of what the cluster says of itself.
func (s *Shell) sysdump(c *call) (result, error) {
	name := c.args[0].text
	var sum sysdump.Summary
	err := ReplaceFile(name, func(w io.Writer) (err error) {
		sum, err = sysdump.Write(c.ctx, s.heap, w, sysdump.Options{Now: s.opt.now(), Version: s.opt.Version, Progress: func(text string) { c.meter.set("%s", text) }})
		return err
	})
	if err != nil {
		return result{}, err
	}
	return dumped(name, sum), nil
}

// dumped says what came together.
func dumped(name string, sum sysdump.Summary) result {
	r := result{fields: []field{{"file", name}, {"files", sum.Files}, {"size", sum.Bytes}, {"nodes", sum.Nodes}, {"silent", sum.Silent}, {"problems", some(sum.Problems)}},
		text: fmt.Sprintf("%s from %s in %s\n", count(sum.Files, "file"), count(sum.Nodes, "node"), escape(name, false))}
	switch {
	case sum.Nodes == 0:
		r.note = "no node answered; the archive only holds what this shell knew"
	case len(sum.Problems) > 0:
		r.note = fmt.Sprintf("%s could not be collected; problems.txt in it says why: %s", count(len(sum.Problems), "thing"), message.Quote(sum.Problems[0]))
	}
	return r
}
