package job

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"dmalloc/message"

	"pgregory.net/rapid"
)

func wordsLE(values ...uint64) string {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return string(b)
}

func TestBuiltins(t *testing.T) {
	minus := func(v int64) uint64 { return uint64(v) }
	s := newStore(map[message.JobAddress]string{
		reg(1): "41", reg(2): "1\n", reg(3): " -2.5 0.25\t7", reg(4): "forty", reg(5): "", reg(6): strings.Repeat("9", 30),
		reg(7): "error: a\nfine\r\nno error at all", reg(8): strings.Repeat("1", 80), reg(9): "1.5", reg(10): "1e5",
		heap(4096): wordsLE(1, 2, 3), heap(8192): wordsLE(minus(-1), minus(-2)), heap(12288): wordsLE(math.Float64bits(0.5), math.Float64bits(0.25)),
		heap(16384): "123456789", heap(20480): wordsLE(math.MaxUint64, math.MaxUint64),
		heap(28672): wordsLE(math.Float64bits(1), math.Float64bits(1e16), math.Float64bits(1), math.Float64bits(-1e16)),
		heap(24576): wordsLE(math.Float64bits(math.Inf(1))),
	})
	sum := func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }
	for _, c := range []struct {
		job, args string
		addresses []message.JobAddress
		want      string // the answer
		code      message.Code
		says      string
	}{
		{"sum", "", []message.JobAddress{reg(1), reg(2)}, `{"sum":42,"numbers":2}`, 0, ""},
		{"sum", "null", []message.JobAddress{reg(3)}, `{"sum":4.75,"numbers":3}`, 0, ""},
		{"sum", "", nil, `{"sum":0,"numbers":0}`, 0, ""},
		{"sum", "", []message.JobAddress{reg(5)}, `{"sum":0,"numbers":0}`, 0, ""},
		{"sum", "", []message.JobAddress{reg(6), reg(2)}, `{"sum":"1` + strings.Repeat("0", 30) + `","numbers":2}`, 0, ""},
		{"sum", "", []message.JobAddress{reg(4)}, "", message.InvalidArgument, `register 4: "forty" is not a decimal number`},
		{"sum", "", []message.JobAddress{reg(10)}, "", message.InvalidArgument, `"1e5"`},
		{"sum", "", []message.JobAddress{reg(8)}, "", message.InvalidArgument, "longer than 64"},
		{"sum", "", []message.JobAddress{reg(1), reg(99)}, "", message.NotWritten, "register 99: nothing was written"},
		{"sum", "", []message.JobAddress{heap(4096)}, `{"sum":6,"numbers":3}`, 0, ""},
		{"sum", "", []message.JobAddress{heap(4096), reg(9)}, `{"sum":7.5,"numbers":4}`, 0, ""},
		{"sum", "", []message.JobAddress{heap(20480)}, `{"sum":"36893488147419103230","numbers":2}`, 0, ""},
		{"sum", `{"as":"i64"}`, []message.JobAddress{heap(8192)}, `{"sum":-3,"numbers":2}`, 0, ""},
		{"sum", `{"as":"f64"}`, []message.JobAddress{heap(12288)}, `{"sum":0.75,"numbers":2}`, 0, ""},
		{"sum", `{"as":"f64"}`, []message.JobAddress{heap(24576)}, `{"sum":"+Inf","numbers":1}`, 0, ""},
		{"sum", `{"as":"f64"}`, []message.JobAddress{heap(28672)}, `{"sum":2,"numbers":4}`, 0, ""},
		{"sum", `{"as":"u64"}`, []message.JobAddress{heap(16384)}, "", message.InvalidArgument, "multiple of 8"},
		{"sum", `{"as":"text"}`, []message.JobAddress{heap(16384)}, `{"sum":123456789,"numbers":1}`, 0, ""},
		{"sum", `{"as":"roman"}`, nil, "", message.InvalidArgument, `"roman"`},
		{"sum", `{"like":"text"}`, nil, "", message.InvalidArgument, "like"},
		{"sum", `{"as"`, nil, "", message.InvalidArgument, "not JSON"},
		{"sum", "", []message.JobAddress{heap(0)}, "", message.NotAllocated, "0x500000000000"},
		{"count", "", []message.JobAddress{reg(7), reg(5)}, `{"bytes":30,"lines":3,"words":7,"addresses":[{"address":7,"bytes":30,"lines":3,"words":7},{"address":5,"bytes":0,"lines":0,"words":0}]}`, 0, ""},
		{"count", `{"max":1}`, nil, "", message.InvalidArgument, "max"},
		{"grep", `{"pattern":"error"}`, []message.JobAddress{reg(5), reg(7)}, `{"matches":[{"address":7,"line":1,"text":"error: a"},{"address":7,"line":3,"text":"no error at all"}],"total":2,"more":false}`, 0, ""},
		{"grep", `{"pattern":"^fine$"}`, []message.JobAddress{reg(7)}, `{"matches":[{"address":7,"line":2,"text":"fine"}],"total":1,"more":false}`, 0, ""},
		{"grep", `{"pattern":".","max":1}`, []message.JobAddress{reg(7)}, `{"matches":[{"address":7,"line":1,"text":"error: a"}],"total":3,"more":true}`, 0, ""},
		{"grep", `{"pattern":"("}`, nil, "", message.InvalidArgument, "missing closing"},
		{"grep", `{"pattern":"x{1000}x{1000}x{500}"}`, nil, "", message.InvalidArgument, "too complex"},
		{"grep", `{}`, nil, "", message.InvalidArgument, "what to look for"},
		{"grep", `{"pattern":"x","max":0}`, nil, "", message.InvalidArgument, "from 1"},
		{"sha256", "", []message.JobAddress{reg(1), reg(2)}, `{"bytes":4,"sha256":"` + sum("411\n") + `","addresses":[{"address":1,"bytes":2,"sha256":"` + sum("41") + `"},{"address":2,"bytes":2,"sha256":"` + sum("1\n") + `"}]}`, 0, ""},
		{"average", "", nil, "", message.NoSuchJob, "[count grep sha256 sum]"},
	} {
		t.Run(c.job+" "+c.args, func(t *testing.T) {
			result, _, err := newRunner(t, Config{}).Run(t.Context(), request(c.job, c.args, c.addresses...), nil, s)
			if c.says != "" {
				failed(t, err, c.code, c.says)
			} else if err != nil || string(result) != c.want {
				t.Errorf("%s, %v instead of\n%s", result, err, c.want)
			}
		})
	}
}

func TestBuiltinsHaveHelp(t *testing.T) {
	for _, name := range Builtins() {
		if !Builtin(name) || Help(name) == "" {
			t.Errorf("%s has no help", name)
		}
	}
	if Builtin("") || Builtin("average") {
		t.Error("a built-in that is none")
	}
}

// However data is cut into pieces, built-ins say what a simple program says of the whole.
func TestBuiltinsAgainstWhole(t *testing.T) {
	runner := newRunner(t, Config{})
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`([a-c0-9 \n\r\t]{0,40}\n?){0,3}`).Draw(t, "text")
		numbers := rapid.SliceOf(rapid.Int64()).Draw(t, "numbers")
		var decimal []string
		var raw []byte
		want := new(big.Int)
		for _, n := range numbers {
			decimal = append(decimal, strconv.FormatInt(n, 10))
			raw = binary.LittleEndian.AppendUint64(raw, uint64(n))
			want.Add(want, big.NewInt(n))
		}
		s := newStore(map[message.JobAddress]string{reg(1): text, reg(2): strings.Join(decimal, " "), heap(4096): string(raw)})
		s.step = rapid.IntRange(1, 9).Draw(t, "step")
		run := func(answer any, name, args string, a message.JobAddress) {
			result, read, err := runner.Run(t.Context(), request(name, args, a), nil, s)
			if err != nil || json.Unmarshal(result, answer) != nil {
				t.Fatalf("%s: %s, %v", name, result, err)
			}
			if read.Sum() != uint64(len(s.cells[a])) {
				t.Fatalf("%s read %d bytes of %d", name, read.Sum(), len(s.cells[a]))
			}
		}
		var counted amounts
		run(&counted, "count", "", reg(1))
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		if text == "" {
			lines = nil
		}
		if simple := (amounts{uint64(len(text)), uint64(len(lines)), uint64(len(strings.Fields(text)))}); counted != simple {
			t.Fatalf("count: %v instead of %v", counted, simple)
		}
		var matches struct{ Total int }
		run(&matches, "grep", `{"pattern":"[ab]1|^$"}`, reg(1))
		total := 0
		for _, l := range lines {
			if regexp.MustCompile("[ab]1|^$").MatchString(strings.TrimSuffix(l, "\r")) {
				total++
			}
		}
		if matches.Total != total {
			t.Fatalf("grep: %d instead of %d", matches.Total, total)
		}
		for a, args := range map[message.JobAddress]string{reg(2): "", heap(4096): `{"as":"i64"}`} {
			var summed struct {
				Sum     json.RawMessage
				Numbers int
			}
			run(&summed, "sum", args, a)
			if string(bytes.Trim(summed.Sum, `"`)) != want.String() || summed.Numbers != len(numbers) {
				t.Fatalf("sum of %v: %s of %d", numbers, summed.Sum, summed.Numbers)
			}
		}
	})
}

// grep's answer stays within what a result may have, and says that there is more.
func TestGrepBounded(t *testing.T) {
	long := strings.Repeat(strings.Repeat("\x01", 2000)+"\n", 3000)
	s := newStore(map[message.JobAddress]string{reg(1): long, reg(2): strings.Repeat("x", 3*maxLine) + "y\nz"})
	r := newRunner(t, Config{})
	result, _, err := r.Run(t.Context(), request("grep", `{"pattern":"\u0001","max":10000}`, reg(1)), nil, s)
	var answer struct {
		Total int
		More  bool
	}
	if err != nil || json.Unmarshal(result, &answer) != nil || answer.Total != 3000 || !answer.More || len(result) > message.MaxJobResult {
		t.Errorf("%v of %d bytes: %v", answer, len(result), err)
	}
	s.step = maxLine / 2
	result, _, err = r.Run(t.Context(), request("grep", `{"pattern":"y|z"}`, reg(2)), nil, s)
	if want := `{"matches":[{"address":2,"line":2,"text":"z"}],"total":1,"more":false}`; err != nil || string(result) != want {
		t.Errorf("%s, %v", result, err)
	}
}
