package drill

import (
	"math"
	"strconv"
	"strings"
	"time"

	"dmalloc/message"
)

const (
	maxSteps     = 100_000   // of a script that is read; more is refused
	longestSleep = time.Hour // of one sleep, in the shell too; longer pauses are several
)

// Step is a command and the pause before it. A step without a verb only waits.
type Step struct {
	After   time.Duration // whole milliseconds
	Command Command
}

// Script is the steps as text that the shell runs: sleeps between commands.
func Script(steps []Step, heading ...string) string {
	var b strings.Builder
	for _, h := range heading {
		b.WriteString("# " + strings.ReplaceAll(h, "\n", " ") + "\n")
	}
	for _, s := range steps {
		for pause := s.After; pause > 0; pause -= longestSleep {
			b.WriteString("sleep " + strconv.FormatFloat(float64(min(pause, longestSleep).Round(time.Millisecond).Milliseconds())/1000, 'f', -1, 64) + "\n")
		}
		if s.Command.Verb != "" {
			b.WriteString(s.Command.String() + "\n")
		}
	}
	return b.String()
}

// ParseScript reads what Script writes, and what a person wrote like it.
func ParseScript(text string) ([]Step, error) {
	var (
		steps []Step
		pause time.Duration
	)
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if len(steps) == maxSteps {
			return nil, message.Errorf(message.InvalidArgument, "the script has more than %d commands; cut it", maxSteps)
		}
		d, isSleep, err := parseSleep(line)
		switch {
		case err == nil && isSleep:
			pause += d
			continue
		case err == nil:
			var c Command
			if c, err = ParseCommand(line); err == nil {
				steps = append(steps, Step{After: pause, Command: c})
				pause = 0
			}
		}
		if err != nil {
			return nil, message.Errorf(message.InvalidArgument, "line %d of the script: %v", i+1, err)
		}
	}
	if pause > 0 {
		steps = append(steps, Step{After: pause})
	}
	return steps, nil
}

func parseSleep(line string) (d time.Duration, is bool, err error) {
	words := strings.Fields(line)
	if words[0] != "sleep" {
		return 0, false, nil
	}
	if len(words) == 2 {
		s, err := strconv.ParseFloat(words[1], 64)
		if err == nil && s >= 0 && s <= longestSleep.Seconds() {
			return time.Duration(math.Round(s*1000)) * time.Millisecond, true, nil
		}
	}
	return 0, true, message.Errorf(message.InvalidArgument, "%s is no pause; use sleep and a number of seconds from 0 to %.0f", message.Quote(line), longestSleep.Seconds())
}

// lasts is how long a script takes if its commands take no time.
func lasts(steps []Step) (d time.Duration) {
	for _, s := range steps {
		d += s.After
	}
	return d
}
