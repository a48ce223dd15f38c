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
// references, every live sample with every other. About kept impostor trials
// are kept.
func compare(s *samples, people, kept int) *trials {
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
	if total > kept {
		cut = cutAt(left, pairs, float64(kept)/2/float64(total))
	}
	thin := 1 + 2*total/kept
	rows := make([]trials, len(left))
	var work []func()
	pairs(func(i int, from []sample) {
		work = append(work, func() { rows[i].row(left[i], from, cut, thin, i) })
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

// row compares one sample with many. Of the impostor trials below cut every
// thin-th is kept, beginning at another place in each row.
func (t *trials) row(one sample, many []sample, cut float32, thin, far int) {
	for _, other := range many {
		score := likeness(one.template, other.template)
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

// likeness is the cosine of two templates, which have length 1.
func likeness(a, b engine.Template) float32 {
	if len(a) != len(b) {
		return 0
	}
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+4 <= len(a); i += 4 {
		x, y := a[i:i+4:i+4], b[i:i+4:i+4]
		s0, s1, s2, s3 = s0+x[0]*y[0], s1+x[1]*y[1], s2+x[2]*y[2], s3+x[3]*y[3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + s2 + s3
}

// cutAt finds the score above which about that part of the impostor trials
// lies, from some of them.
func cutAt(left []sample, pairs func(func(int, []sample)), part float64) float32 {
	const every = 16
	some := []float32{-1}
	pairs(func(i int, from []sample) {
		if i%every != 0 {
			return
		}
		for j := i % 7; j < len(from); j += 7 {
			if from[j].person != left[i].person {
				some = append(some, likeness(left[i].template, from[j].template))
			}
		}
	})
	slices.Sort(some)
	return some[int(float64(len(some)-1)*(1-part))]
}
