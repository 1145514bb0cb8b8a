package repl

import (
	"fmt"
	"slices"
)

func recoverVerb() verb {
	return verb{name: "recover", forms: []string{"COMPANY [--yes]"}, run: (*Shell).recover, long: true,
		does: "restores a company that has lost a majority of its owners for good, from what survives",
		more: "It says first what survives and what may be lost, and asks; a script needs --yes. It is refused while a majority of the owners answers. " +
			"As long as missing owners may come back with their files, `revive` them instead: nothing is lost then. The company can be used with one owner at once, and others join by themselves. " +
			"Company 0, the directory, cannot be recovered in this way.",
		examples: []string{"recover 1", "recover 1 --yes"}}
}

// recover has a company begin anew. Unlike confirm it takes the silence of a script for a no.
func (s *Shell) recover(c *call) (result, error) {
	company, err := parseCompany(c.args[0].text)
	if err != nil {
		return result{}, err
	}
	yes := s.yes || c.flags["--yes"]
	c.meter.set("looking for what survives of company %s", company)
	if !yes && s.ask != nil {
		ctx, cancel := c.once()
		survey, err := s.heap.Survey(ctx, company)
		cancel()
		if err == nil {
			err = s.confirm(c, survey.Loses())
		}
		if err != nil {
			return result{}, err
		}
		yes = true
	}
	ctx, cancel := c.once()
	defer cancel()
	r, err := s.heap.Recover(ctx, company, yes)
	if err != nil {
		return result{}, err
	}
	return result{text: fmt.Sprintf("company %s has begun anew on node %s, in generation %d, with what it held at index %d; others join it now\n", company, r.Node, r.Generation, r.Index),
		fields: []field{{"company", company}, {"generation", r.Generation}, {"node", r.Node}, {"index", r.Index}, {"survivors", some(slices.Clone(r.Survivors))}, {"missing", some(slices.Clone(r.Missing))}}}, nil
}
