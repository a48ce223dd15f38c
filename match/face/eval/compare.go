package eval

import (
	"math"
	"runtime"
	"slices"

	"gateagent/match/face/engine"
)

// trial is one comparison of two samples.
type trial struct {
	score float32
	a, b  int32 // people; the same for a genuine trial
	// weight is above 1 where one trial stands for several.
	weight float32
}

// trials holds the comparisons of a set, highest scores first.
type trials struct {
	genuine, impostor  []trial
	genuines, impostrs int // how many there were
	people             int
	shapes             histogram
}

// histogram counts scores in steps of the cosine from -1 to 1.
type histogram struct{ genuine, impostor [histogramSteps]int }

const histogramSteps = 200

func step(score float32) int {
	return min(max(int((float64(score)+1)/2*histogramSteps), 0), histogramSteps-1)
}

// maxKept bounds the impostor trials that are kept in memory one by one. Of
// more, only the highest are, which decide the false match rates; the rest is
// thinned out evenly.
const maxKept = 4 << 20

// compare compares every reference with every live sample; without
// references, every live sample with every other.
func compare(s *samples, people int) *trials {
	pairs := func(visit func(i int, from []sample)) {
		if len(s.references) == 0 {
			for i := range s.live {
				visit(i, s.live[i+1:])
			}
			return
		}
		for i := range s.references {
			visit(i, s.live)
		}
	}
	left := s.references
	if len(left) == 0 {
		left = s.live
	}
	total := 0
	pairs(func(_ int, from []sample) { total += len(from) })
	cut := float32(math.Inf(-1))
	if total > maxKept {
		cut = cutAt(left, s, pairs)
	}
	thin := max(1, total/maxKept*2)
	rows := make([]trials, len(left))
	var work []func()
	pairs(func(i int, from []sample) {
		work = append(work, func() { rows[i].row(left[i], from, cut, thin) })
	})
	parallel(runtime.GOMAXPROCS(0), len(work), func(i int) { work[i]() })
	all := &trials{people: people}
	for i := range rows {
		all.merge(&rows[i])
	}
	high := func(a, b trial) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(all.genuine, high)
	slices.SortStableFunc(all.impostor, high)
	return all
}

// row compares one sample with many. Trials below cut are thinned out.
func (t *trials) row(one sample, many []sample, cut float32, thin int) {
	far := 0
	for _, other := range many {
		score := float32(engine.Cosine(one.template, other.template))
		tr := trial{score: score, a: int32(one.person), b: int32(other.person), weight: 1}
		if one.person == other.person {
			t.genuine = append(t.genuine, tr)
			t.genuines++
			t.shapes.genuine[step(score)]++
			continue
		}
		t.impostrs++
		t.shapes.impostor[step(score)]++
		if score < cut {
			if far++; far%thin != 0 {
				continue
			}
			tr.weight = float32(thin)
		}
		t.impostor = append(t.impostor, tr)
	}
}

func (t *trials) merge(r *trials) {
	t.genuine = append(t.genuine, r.genuine...)
	t.impostor = append(t.impostor, r.impostor...)
	t.genuines, t.impostrs = t.genuines+r.genuines, t.impostrs+r.impostrs
	for i := range r.shapes.genuine {
		t.shapes.genuine[i] += r.shapes.genuine[i]
		t.shapes.impostor[i] += r.shapes.impostor[i]
	}
}

// cutAt finds the score above which about half of maxKept impostors lie, from
// a part of the rows.
func cutAt(left []sample, s *samples, pairs func(func(int, []sample))) float32 {
	const every = 16
	var some []float32
	total := 0
	pairs(func(i int, from []sample) {
		total += len(from)
		if i%every != 0 {
			return
		}
		for j := i % 7; j < len(from); j += 7 {
			if from[j].person != left[i].person {
				some = append(some, float32(engine.Cosine(left[i].template, from[j].template)))
			}
		}
	})
	slices.Sort(some)
	keep := float64(maxKept) / 2 / float64(total)
	return some[int(float64(len(some)-1)*(1-keep))]
}
