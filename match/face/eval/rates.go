package eval

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
)

// FMRs are the operating points that are reported.
func FMRs() []float64 { return []float64{0.01, 0.001, 0.0001} }

// operating is a threshold and the rates there.
type operating struct{ fmr, threshold, fnmr float64 }

// rates are the error rates of trials among people of given weights.
type rates struct {
	eer, eerAt float64
	points     []operating // one for each false match rate asked for
}

// walk goes through all trials from the highest score down. A trial counts as
// a match when its score is at or above the threshold, so trials of one score
// move together. visit, when given, sees threshold, FMR and FNMR after each
// score; the walk ends when there is nothing left to find.
//
// weights are how often each person is taken, nil for once: a genuine trial
// counts as often as its person, an impostor trial as often as its pair.
func (t *trials) walk(fmrs []float64, weights []float64, visit func(threshold, fmr, fnmr float64)) rates {
	one := func(tr trial) float64 { return tr.counts(weights) }
	genuine, impostor := total(t.genuine, one), total(t.impostor, one)
	out := rates{eer: math.NaN()}
	if genuine == 0 || impostor == 0 {
		return out
	}
	var matched, false_ float64
	below := float64(2) // the score before this one
	lastFMR, lastFNMR := 0.0, 1.0
	i, j := 0, 0
	for i < len(t.genuine) || j < len(t.impostor) {
		score := max(scoreAt(t.genuine, i), scoreAt(t.impostor, j))
		for ; i < len(t.genuine) && t.genuine[i].score == score; i++ {
			matched += one(t.genuine[i])
		}
		for ; j < len(t.impostor) && t.impostor[j].score == score; j++ {
			false_ += one(t.impostor[j])
		}
		fmr, fnmr := false_/impostor, max(0, 1-matched/genuine)
		for len(out.points) < len(fmrs) && fmr > fmrs[len(fmrs)-1-len(out.points)] {
			at := operating{fmrs[len(fmrs)-1-len(out.points)], float64(math.Nextafter32(score, 2)), lastFNMR}
			out.points = append(out.points, at)
		}
		if math.IsNaN(out.eer) && fmr >= fnmr {
			out.eer, out.eerAt = crossing(lastFMR, lastFNMR, fmr, fnmr), float64(score)
		}
		if visit != nil {
			visit(float64(score), fmr, fnmr)
		} else if !math.IsNaN(out.eer) && len(out.points) == len(fmrs) {
			break
		}
		below, lastFMR, lastFNMR = float64(score), fmr, fnmr
	}
	for len(out.points) < len(fmrs) { // never exceeded: everything matches
		out.points = append(out.points, operating{fmrs[len(fmrs)-1-len(out.points)], below, lastFNMR})
	}
	slices.Reverse(out.points)
	return out
}

// scoreAt is the score of trial i, or less than any when there is none.
func scoreAt(of []trial, i int) float32 {
	if i < len(of) {
		return of[i].score
	}
	return float32(math.Inf(-1))
}

// counts says how often a trial counts among people of these weights.
func (tr trial) counts(weights []float64) float64 {
	w := float64(tr.weight)
	switch {
	case weights == nil:
		return w
	case tr.a == tr.b:
		return w * weights[tr.a]
	}
	return w * weights[tr.a] * weights[tr.b]
}

func total(of []trial, one func(trial) float64) float64 {
	var sum float64
	for _, tr := range of {
		sum += one(tr)
	}
	return sum
}

// crossing is where the line from one pair of rates to the next has both
// equal.
func crossing(fmr0, fnmr0, fmr1, fnmr1 float64) float64 {
	d0, d1 := fnmr0-fmr0, fmr1-fnmr1
	if d0+d1 <= 0 {
		return fmr1
	}
	return fmr0 + (fmr1-fmr0)*d0/(d0+d1)
}

// Interval is the middle 95 % of what other people of the same kind might
// have given.
type Interval [2]float64

// replicates of the bootstrap: enough for the 2.5 % at each end.
const replicates = 1000

// bootstrap draws the people anew, with replacement, again and again: people
// are what differs from one set to the next, their pictures much less
// (ISO/IEC 19795-1, on bootstrapping; a person against her own double is no
// impostor). The draw is fixed, so that a report can be repeated.
func (t *trials) bootstrap(fmrs []float64) (eer Interval, fnmr []Interval) {
	results := make([]rates, replicates)
	parallel(runtime.GOMAXPROCS(0), replicates, func(n int) {
		draw := rand.New(rand.NewPCG(19795, uint64(n)))
		weights := make([]float64, t.people)
		for range t.people {
			weights[draw.IntN(t.people)]++
		}
		results[n] = t.walk(fmrs, weights, nil)
	})
	results = slices.DeleteFunc(results, func(r rates) bool { return math.IsNaN(r.eer) })
	if len(results) == 0 {
		return Interval{0, 1}, slices.Repeat([]Interval{{0, 1}}, len(fmrs))
	}
	middle := func(of func(rates) float64) Interval {
		v := make([]float64, len(results))
		for i, r := range results {
			v[i] = of(r)
		}
		slices.Sort(v)
		last := float64(len(v) - 1)
		return Interval{v[int(last*0.025)], v[int(math.Ceil(last*0.975))]}
	}
	for k := range fmrs {
		fnmr = append(fnmr, middle(func(r rates) float64 { return r.points[k].fnmr }))
	}
	return middle(func(r rates) float64 { return r.eer }), fnmr
}

// supports is the rule of three (ISO/IEC 19795-1, Annex B): with no error
// among n independent trials, the rate may with 95 % confidence still be 3/n.
// Pairs of different people are taken as the independent impostor trials, and
// people as the genuine ones.
func supports(n int, rate float64) bool { return float64(n)*rate >= 3*(1-1e-9) }

func pairsOf(people int) int { return people * (people - 1) / 2 }
