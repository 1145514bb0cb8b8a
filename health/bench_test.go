package health

import (
	"fmt"
	"testing"
)

// Whoever asks for the status waits for a second at most, and the judgement is a part of it.
func BenchmarkJudge(b *testing.B) {
	for _, n := range []int{20, 200, 1000} {
		var dead []int
		for i := range n / 2 {
			dead = append(dead, 2*i)
		}
		v := without(world(n), "dead", dead...)
		b.Run(fmt.Sprintf("half of %d", n), func(b *testing.B) {
			for b.Loop() {
				Judge(v)
			}
		})
	}
}
