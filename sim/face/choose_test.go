//go:build choose

package face

import (
	"testing"

	"gateagent/match/face/engine"
)

// TestChooseCast finds the seeds for Cast, after a change of how people are
// drawn: go test -tags choose -run ChooseCast -v ./sim/face/ (some minutes).
func TestChooseCast(t *testing.T) {
	const first = 110
	shots := []Shot{{Y: -0.03}, {Size: 0.14, Behind: Hall, Yaw: 9, Pitch: 3, Roll: -2, LightFrom: -30, Hard: 0.5, Noise: 0.4, Grain: 2, Smile: 0.4, Warm: 0.5}}
	// above is the highest score of two people over the threshold, in parts of
	// what is left above it; -1 or less means well apart.
	above := map[[2]int]float64{}
	each(t, func(t *testing.T, e *engine.Engine, threshold float64) {
		tm := make([][]engine.Template, first)
		for i := range tm {
			for k, s := range shots {
				w, h := 240, 310
				if k > 0 {
					w, h = 400, 300
				}
				one, err := template(t, e, Draw(NewPerson(uint64(i+1)), s, w, h))
				if err != nil {
					t.Logf("person %d: %v", i+1, err)
				}
				tm[i] = append(tm[i], one)
			}
			for j := range i {
				for _, a := range tm[i] {
					for _, b := range tm[j] {
						v := 9.0
						if a != nil && b != nil {
							v = (engine.Cosine(a, b) - threshold) / (1 - threshold)
						}
						if old, ok := above[[2]int{i, j}]; !ok || v > old {
							above[[2]int{i, j}] = v
						}
					}
				}
			}
		}
	})
	pair := func(a, b int) float64 { return above[[2]int{max(a, b), min(a, b)}] }
	var best []int
	for start := range first {
		cast := []int{start}
		for {
			pick, least := -1, 0.0
			for c := range first {
				worst := -9.0
				for _, k := range cast {
					if worst = max(worst, pair(c, k)); c == k {
						worst = 9
					}
				}
				if worst < least {
					pick, least = c, worst
				}
			}
			if pick < 0 {
				break
			}
			cast = append(cast, pick)
		}
		if len(cast) > len(best) {
			best = cast
		}
	}
	for i := range best {
		best[i]++
	}
	t.Logf("%d people: %v", len(best), best)
}
