package eval

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"gateagent/match/face/pack"
)

// Report is what a pack was measured to do on a set. Rates are fractions;
// maps are by false match rate ("0.001"). No person is named in it.
type Report struct {
	Pack    string    `json:"pack"`
	Hash    string    `json:"pack_sha256"`
	Kind    pack.Kind `json:"kind"`
	Warning string    `json:"warning,omitempty"`
	Made    time.Time `json:"made"`

	People        int            `json:"people"`
	Pictures      int            `json:"pictures"`
	NotAcquired   int            `json:"not_acquired"`
	NotAcquiredBy map[string]int `json:"not_acquired_by"`
	FTA           float64        `json:"fta"` // failure to acquire rate
	Attempts      int            `json:"attempts"`
	References    int            `json:"references"` // 0: live pictures against each other
	Transactions  int            `json:"transactions"`
	Genuine       int            `json:"genuine"`
	Impostor      int            `json:"impostor"`

	EER          float64  `json:"eer"`
	EERInterval  Interval `json:"eer_interval"`
	EERThreshold float64  `json:"eer_threshold"`
	// EERSupported and Supported say whether there were enough people by the
	// rule of three. What is not supported is a number and no evidence.
	EERSupported bool                `json:"eer_supported"`
	Supported    map[string]bool     `json:"supported"`
	FNMR         map[string]float64  `json:"fnmr"`
	FNMRInterval map[string]Interval `json:"fnmr_interval"`
	Threshold    map[string]float64  `json:"threshold"`

	// At is what the pack's present threshold does.
	At     At        `json:"at"`
	Groups []Group   `json:"groups,omitempty"`
	DET    []DET     `json:"det"`
	Scores Histogram `json:"histogram"`
	// Milliseconds is the mean time of a picture, from file to template.
	Milliseconds float64 `json:"milliseconds_per_picture"`
}

// At is the rates at one threshold.
type At struct {
	Threshold float64 `json:"threshold"`
	FMR       float64 `json:"fmr"`
	FNMR      float64 `json:"fnmr"`
}

// DET is a point of the detection error trade-off curve.
type DET struct {
	Threshold float64 `json:"threshold"`
	FMR       float64 `json:"fmr"`
	FNMR      float64 `json:"fnmr"`
}

// Histogram counts scores in equal steps of the cosine from -1 to 1.
type Histogram struct {
	Genuine  []int `json:"genuine"`
	Impostor []int `json:"impostor"`
}

// Group is the rates of people with one label at thresholds measured on all:
// their genuine trials, and their impostor trials among themselves.
type Group struct {
	Label    string             `json:"label"`
	People   int                `json:"people"`
	Genuine  int                `json:"genuine"`
	Impostor int                `json:"impostor"`
	FMR      map[string]float64 `json:"fmr"`
	FNMR     map[string]float64 `json:"fnmr"`
	// FNMRHigh is what the false non-match rate may be at 95 % confidence, with
	// so many people: no error among n of them means 3/n at most.
	FNMRHigh map[string]float64 `json:"fnmr_high"`
	// Supported says for each operating point whether the group's own pairs
	// support a statement about that false match rate.
	Supported map[string]bool `json:"supported"`
}

// Measure measures a pack on people. With holds one or more acquirers of that
// pack; attempts is how many live pictures make a transaction.
func Measure(ctx context.Context, p *pack.Pack, people []Person, with []Acquirer, attempts int, now time.Time) (*Report, error) {
	if attempts < 1 || len(with) == 0 {
		return nil, errors.New("a transaction has at least one live picture, and somebody must look at it")
	}
	started := time.Now()
	s, err := acquire(ctx, people, with, attempts)
	if err != nil {
		return nil, err
	}
	took := time.Since(started)
	t := compare(s, len(people), maxKept)
	if t.genuines == 0 || t.impostrs == 0 {
		return nil, fmt.Errorf("%d genuine and %d impostor trials from %d pictures (not acquired: %v): nothing can be said; each of at least two people needs two usable pictures",
			t.genuines, t.impostrs, s.pictures, s.lost)
	}
	r := &Report{
		Pack: p.Title(), Hash: p.Hash(), Kind: p.Kind, Warning: p.Warning, Made: now.UTC().Truncate(time.Second),
		People: acquired(s), Pictures: s.pictures, NotAcquiredBy: s.lost, Attempts: attempts,
		References: len(s.references), Transactions: len(s.live), Genuine: t.genuines, Impostor: t.impostrs,
		Milliseconds: float64(took.Milliseconds()) / float64(s.pictures) * float64(len(with)),
	}
	for _, n := range s.lost {
		r.NotAcquired += n
	}
	r.FTA = float64(r.NotAcquired) / float64(r.Pictures)
	r.rates(t)
	r.At.Threshold = p.Threshold()
	r.At.FMR, r.At.FNMR = t.at(r.At.Threshold, nil)
	r.groups(t, people)
	r.Scores = Histogram{t.shapes.genuine[:], t.shapes.impostor[:]}
	return r, nil
}

// acquired counts the people of whom there is a sample.
func acquired(s *samples) int {
	seen := map[int]bool{}
	for _, x := range slices.Concat(s.references, s.live) {
		seen[x.person] = true
	}
	return len(seen)
}

// Key is how a false match rate is written in the maps of a report.
func Key(fmr float64) string { return strconv.FormatFloat(fmr, 'f', -1, 64) }

func (r *Report) rates(t *trials) {
	var last DET
	all := t.walk(FMRs(), nil, func(threshold, fmr, fnmr float64) {
		// A point for every visible step on the logarithmic axes.
		if d := (DET{threshold, fmr, fnmr}); last.Threshold == 0 || apart(d.FMR, last.FMR) || apart(d.FNMR, last.FNMR) {
			r.DET, last = append(r.DET, d), d
		}
	})
	eer, fnmr := t.bootstrap(FMRs())
	genuine := map[int32]bool{}
	for _, tr := range t.genuine {
		genuine[tr.a] = true
	}
	pairs := pairsOf(r.People)
	r.EER, r.EERThreshold, r.EERInterval = all.eer, all.eerAt, eer
	r.EERSupported = supports(pairs, all.eer) && supports(len(genuine), all.eer)
	r.Supported, r.FNMR, r.FNMRInterval, r.Threshold = map[string]bool{}, map[string]float64{}, map[string]Interval{}, map[string]float64{}
	for i, p := range all.points {
		if p.fnmr == 0 { // the bootstrap cannot see errors that did not happen
			fnmr[i][1] = max(fnmr[i][1], min(1, 3/float64(len(genuine))))
		}
		k := Key(p.fmr)
		r.Supported[k] = supports(pairs, p.fmr)
		r.FNMR[k], r.FNMRInterval[k], r.Threshold[k] = p.fnmr, fnmr[i], p.threshold
	}
}

func apart(a, b float64) bool {
	return (a > 0) != (b > 0) || a > 0 && math.Abs(math.Log10(a/b)) > 0.01
}

// at gives the rates at a threshold among the trials that only takes, nil for
// all.
func (t *trials) at(threshold float64, only func(trial) bool) (fmr, fnmr float64) {
	share := func(from []trial, wrong func(float64) bool) float64 {
		var all, bad float64
		for _, tr := range from {
			if only != nil && !only(tr) {
				continue
			}
			all += float64(tr.weight)
			if wrong(float64(tr.score)) {
				bad += float64(tr.weight)
			}
		}
		if all == 0 {
			return 0
		}
		return bad / all
	}
	return share(t.impostor, func(s float64) bool { return s >= threshold }),
		share(t.genuine, func(s float64) bool { return s < threshold })
}

func (r *Report) groups(t *trials, people []Person) {
	members := map[string][]bool{}
	for i, p := range people {
		for _, l := range p.labels() {
			if members[l] == nil {
				members[l] = make([]bool, len(people))
			}
			members[l][i] = true
		}
	}
	labels := make([]string, 0, len(members))
	for l := range members {
		labels = append(labels, l)
	}
	slices.Sort(labels)
	for _, l := range labels {
		in := members[l]
		g := Group{Label: l, FMR: map[string]float64{}, FNMR: map[string]float64{}, FNMRHigh: map[string]float64{}, Supported: map[string]bool{}}
		for _, yes := range in {
			if yes {
				g.People++
			}
		}
		only := func(tr trial) bool { return in[tr.a] && in[tr.b] }
		g.Genuine, g.Impostor = count(t.genuine, only), count(t.impostor, only)
		for _, f := range FMRs() {
			k := Key(f)
			g.FMR[k], g.FNMR[k] = t.at(r.Threshold[k], only)
			g.FNMRHigh[k], g.Supported[k] = atMost(g.FNMR[k], g.People), supports(pairsOf(g.People), f)
		}
		r.Groups = append(r.Groups, g)
	}
}

// atMost is the upper end of the 95 % interval of a rate among n people: by the
// rule of three where it is small, by the normal approximation otherwise.
func atMost(rate float64, n int) float64 {
	if n == 0 {
		return 1
	}
	return min(1, max(3/float64(n), rate+1.96*math.Sqrt(rate*(1-rate)/float64(n))))
}

func count(from []trial, only func(trial) bool) int {
	var n float64
	for _, tr := range from {
		if only(tr) {
			n += float64(tr.weight)
		}
	}
	return int(n + 0.5)
}

// Conditions are what an operator says of a calibration.
type Conditions struct {
	FMR     float64
	Cameras []string
	Source  string
	Valid   time.Duration
}

// Calibration makes the record of a report, to be signed. A false match rate
// that the number of people does not support is refused.
func (r *Report) Calibration(c Conditions) (*pack.Calibration, error) {
	if len(c.Cameras) == 0 {
		return nil, errors.New("name the cameras that took the pictures")
	}
	if !r.Supported[Key(c.FMR)] {
		return nil, fmt.Errorf("FMR %s is not supported: %d people make %d pairs, which by the rule of three support no rate below %.2g; take pictures of more people or choose a higher rate",
			Key(c.FMR), r.People, pairsOf(r.People), 3/float64(max(1, pairsOf(r.People))))
	}
	out := &pack.Calibration{
		Format: pack.Format, Pack: r.Hash, Title: r.Pack, Made: r.Made, Expires: r.Made.Add(c.Valid), Cameras: c.Cameras, Source: c.Source,
		People: r.People, Pictures: r.Pictures, NotAcquired: r.NotAcquired, Genuine: r.Genuine, Impostor: r.Impostor, Attempts: r.Attempts,
		EER: r.EER, FMR: c.FMR,
	}
	for _, f := range FMRs() {
		k := Key(f)
		out.Points = append(out.Points, pack.Point{FMR: f, Threshold: r.Threshold[k], FNMR: r.FNMR[k],
			FNMRLow: r.FNMRInterval[k][0], FNMRHigh: r.FNMRInterval[k][1], Supported: r.Supported[k]})
	}
	for _, g := range r.Groups {
		k := Key(c.FMR)
		out.Groups = append(out.Groups, pack.Group{Label: g.Label, People: g.People, Genuine: g.Genuine, Impostor: g.Impostor,
			FMR: g.FMR[k], FNMR: g.FNMR[k], FNMRHigh: g.FNMRHigh[k], Supported: g.Supported[k]})
	}
	return out, nil
}
