package eval

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gateagent/match/face/engine"
)

// trialsOf makes trials of scores, person 0 and 1 in turn.
func trialsOf(genuine, impostor []float32) *trials {
	t := &trials{people: 2, genuines: len(genuine), impostrs: len(impostor)}
	for i, s := range genuine {
		t.genuine = append(t.genuine, trial{s, int32(i % 2), int32(i % 2), 1})
	}
	for _, s := range impostor {
		t.impostor = append(t.impostor, trial{s, 0, 1, 1})
	}
	high := func(a, b trial) int { return int(math.Copysign(1, float64(b.score-a.score))) }
	slices.SortFunc(t.genuine, high)
	slices.SortFunc(t.impostor, high)
	return t
}

func TestRatesAtAThreshold(t *testing.T) {
	// Ten genuine, ten impostors, two of each on the wrong side of 0.5.
	genuine := []float32{0.9, 0.9, 0.8, 0.8, 0.7, 0.7, 0.6, 0.6, 0.3, 0.2}
	impostor := []float32{0.1, 0.1, 0.1, 0.1, 0.0, 0.0, 0.0, 0.0, 0.65, 0.75}
	tr := trialsOf(genuine, impostor)
	got := tr.walk([]float64{0.2, 0.1, 0.01}, nil, nil)
	if math.Abs(got.eer-0.2) > 1e-9 {
		t.Errorf("EER %v, want 0.2", got.eer)
	}
	want := []operating{{0.2, 0.1, 0.0}, {0.1, 0.65, 0.4}, {0.01, 0.75, 0.6}}
	for i, w := range want {
		p := got.points[i]
		if p.fmr != w.fmr || math.Abs(p.fnmr-w.fnmr) > 1e-9 {
			t.Errorf("at FMR %v: %+v, want %+v", w.fmr, p, w)
		}
		// The threshold is the least that keeps the rate.
		if fmr, fnmr := tr.at(p.threshold, nil); fmr > w.fmr || math.Abs(fnmr-p.fnmr) > 1e-9 {
			t.Errorf("threshold %v gives FMR %v, FNMR %v", p.threshold, fmr, fnmr)
		}
		if fmr, _ := tr.at(p.threshold-1e-4, nil); fmr <= w.fmr {
			t.Errorf("a lower threshold than %v keeps FMR %v, too", p.threshold, w.fmr)
		}
	}
}

func TestEqualScoresMoveTogether(t *testing.T) {
	tr := trialsOf([]float32{0.5, 0.5}, []float32{0.5, 0.5})
	got := tr.walk([]float64{0.5}, nil, nil)
	if got.eer != 0.5 {
		t.Errorf("EER %v of scores that say nothing, want 0.5", got.eer)
	}
	if p := got.points[0]; p.fnmr != 1 || p.threshold <= 0.5 {
		t.Errorf("%+v: half of equal scores cannot match", p)
	}
}

func TestPerfectAndHopeless(t *testing.T) {
	if got := trialsOf([]float32{0.9, 0.8}, []float32{0.1, 0.2}).walk(FMRs(), nil, nil); got.eer != 0 || got.points[2].fnmr != 0 {
		t.Errorf("told apart without error: %+v", got)
	}
	if got := trialsOf([]float32{0.1, 0.2}, []float32{0.9, 0.8}).walk(FMRs(), nil, nil); got.eer != 1 || got.points[2].fnmr != 1 {
		t.Errorf("always wrong: %+v", got)
	}
	if got := trialsOf(nil, []float32{0.9}).walk(FMRs(), nil, nil); !math.IsNaN(got.eer) {
		t.Errorf("no genuine trial and an EER of %v", got.eer)
	}
}

// crowd makes samples whose pictures scatter about their person's direction.
func crowd(people, each int, scatter float64) *samples {
	r := rand.New(rand.NewPCG(1, 2))
	s := &samples{}
	const dims = 16
	for p := range people {
		centre := make([]float64, dims)
		for i := range centre {
			centre[i] = r.NormFloat64()
		}
		for range each {
			v := make(engine.Template, dims)
			for i := range v {
				v[i] = float32(centre[i] + scatter*r.NormFloat64())
			}
			normalise(v)
			s.live = append(s.live, sample{person: p, template: v})
		}
	}
	return s
}

func normalise(v engine.Template) {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	for i := range v {
		v[i] /= float32(math.Sqrt(sum))
	}
}

func TestLikenessIsTheCosine(t *testing.T) {
	s := crowd(5, 2, 1)
	for _, a := range s.live {
		for _, b := range s.live {
			if got, want := likeness(a.template[:15], b.template[:15]), engine.Cosine(a.template, b.template); math.Abs(float64(got)+float64(a.template[15]*b.template[15])-want) > 1e-6 {
				t.Fatalf("likeness %v, cosine %v", got, want)
			}
		}
	}
}

func TestTrialsAreAllPairs(t *testing.T) {
	s := crowd(7, 4, 0.5)
	tr := compare(s, 7, maxKept)
	if tr.genuines != 7*6 || tr.impostrs != 28*27/2-42 || len(tr.genuine) != tr.genuines || len(tr.impostor) != tr.impostrs {
		t.Errorf("%d genuine, %d impostor trials of 7 people with 4 pictures", tr.genuines, tr.impostrs)
	}
	s.references = s.live[:4] // of the first person
	if tr = compare(s, 7, maxKept); tr.genuines != 16 || tr.impostrs != 4*24 {
		t.Errorf("%d genuine, %d impostor trials of 4 references against 28", tr.genuines, tr.impostrs)
	}
}

// Above the bound, impostors with low scores are thinned out. The rates stay.
func TestThinningKeepsTheRates(t *testing.T) {
	const people, kept = 150, 100_000
	s := crowd(people, 8, 0.35)
	tr := compare(s, people, kept)
	if tr.impostrs <= 5*kept || len(tr.impostor) > kept {
		t.Fatalf("%d of %d impostor trials are kept", len(tr.impostor), tr.impostrs)
	}
	all := &trials{people: people}
	for i := range s.live {
		all.row(s.live[i], s.live[i+1:], float32(math.Inf(-1)), 1, 0)
	}
	for _, threshold := range []float64{0, 0.3, 0.6, 0.8} {
		a, _ := tr.at(threshold, nil)
		b, _ := all.at(threshold, nil)
		if math.Abs(a-b) > 0.01*b+1e-6 {
			t.Errorf("at %v: FMR %v after thinning, %v of all", threshold, a, b)
		}
	}
}

func TestIntervalsAreOverPeople(t *testing.T) {
	// Ten people; all errors belong to one of them. Over trials the rate
	// would seem well known; over people it may be nothing or threefold.
	tr := &trials{people: 10}
	for p := range int32(10) {
		for range 100 {
			score := float32(0.9)
			if p == 0 {
				score = 0.1
			}
			tr.genuine = append(tr.genuine, trial{score, p, p, 1})
		}
		for q := range p {
			tr.impostor = append(tr.impostor, trial{0.2, q, p, 1})
		}
	}
	slices.SortFunc(tr.genuine, func(a, b trial) int { return int(10 * (b.score - a.score)) })
	_, fnmr := tr.bootstrap([]float64{0.01})
	if fnmr[0][0] != 0 || fnmr[0][1] < 0.2 || fnmr[0][1] > 0.5 {
		t.Errorf("interval %v, want about 0 to 0.3", fnmr[0])
	}
	again, _ := tr.bootstrap([]float64{0.01})
	first, _ := tr.bootstrap([]float64{0.01})
	if again != first {
		t.Error("the same trials have two intervals")
	}
}

func TestRuleOfThree(t *testing.T) {
	for _, c := range []struct {
		people int
		fmr    float64
		want   bool
	}{{40, 0.01, true}, {40, 0.001, false}, {77, 0.001, false}, {78, 0.001, true}, {245, 0.0001, false}, {246, 0.0001, true}, {2, 0.01, false}} {
		if got := supports(pairsOf(c.people), c.fmr); got != c.want {
			t.Errorf("%d people support FMR %v: %v", c.people, c.fmr, got)
		}
	}
}
