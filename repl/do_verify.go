package repl

import (
	"slices"

	"dmalloc/client"
	"dmalloc/message"
)

// verify compares the owners of companies.
func (s *Shell) verify(c *call) (result, error) {
	var company message.CompanyID
	all := len(c.args) == 0
	if !all {
		var err error
		if company, err = parseCompany(c.args[0].text); err != nil {
			return result{}, err
		}
	}
	verified, err := s.heap.Verify(c.ctx, company, all)
	if err != nil {
		return result{}, err
	}
	verified = slices.Clone(some(verified))
	r := result{columns: []string{"company", "index", "root", "owners", "finding"}, right: []bool{true, true}, empty: "no companies",
		show: func(column, cell string) string {
			if column == "root" && len(cell) > 16 {
				return cell[:16]
			}
			return cell
		}}
	for i := range verified {
		v := &verified[i]
		v.Owners = some(v.Owners)
		finding := "equal"
		switch {
		case v.Wrong != "":
			finding = v.Wrong
			if r.bad == nil {
				r.bad = message.Errorf(message.Broken, "%s", v.Wrong)
			}
		case v.Missing != "":
			finding = v.Missing
		}
		r.rows = append(r.rows, []string{v.Company.String(), plain(v.Index), v.Root, list(v.Owners), finding})
	}
	// Scripts iterate over the companies of the heap; the directory stands beside them.
	r.fields = []field{{"companies", verified}}
	if i := slices.IndexFunc(verified, func(v client.Verified) bool { return v.Company == 0 }); i >= 0 {
		directory := verified[i]
		r.fields = []field{{"companies", some(slices.Delete(verified, i, i+1))}, {"directory", directory}}
	}
	return r, nil
}
