package repl

import (
	"strconv"
	"strings"

	"dmalloc/message"
)

// errorsTopic is what `h` shows the codes of errors for.
const errorsTopic = "errors"

// helpErrors is `h errors` and `h CODE`; false if the word is neither.
func helpErrors(word string) (result, bool) {
	if word == errorsTopic {
		r := result{fields: []field{{"errors", message.Explanations()}}, columns: []string{"code", "http", "means"}, right: []bool{false, true},
			note: "`h CODE` says what to do; docs/errors.md has it all"}
		for _, e := range message.Explanations() {
			r.rows = append(r.rows, []string{e.Code, strconv.Itoa(e.HTTP), e.Means})
		}
		return r, true
	}
	e, ok := message.FindExplanation(word)
	if !ok {
		return result{}, false
	}
	return result{text: e.Page(), fields: []field{{"errors", []message.Explanation{e}}},
		columns: []string{"code", "http", "means", "done", "do"}, rows: [][]string{{e.Code, strconv.Itoa(e.HTTP), e.Means, e.Done, e.Do}}}, true
}

// noTopic is the error for a word that h knows nothing of.
func noTopic(word string, why error) error {
	all := verbs()
	names := []string{errorsTopic}
	for i := range all {
		names = append(append(names, all[i].name), all[i].aliases...)
	}
	for _, e := range message.Explanations() {
		names = append(names, e.Code)
	}
	if strings.Contains(why.Error(), "could be") {
		return why
	}
	e := message.Errorf(message.InvalidArgument, "%s is neither a command nor the code of an error", message.Quote(word))
	if near := nearest(strings.ToLower(word), names); near != "" {
		e.Text += "; did you mean " + near + "?"
	} else {
		e.Text += "; `h` lists the commands and `h errors` the codes"
	}
	return e
}
