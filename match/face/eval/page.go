package eval

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
)

//go:embed page.html
var pageText string

// Page writes a report as one HTML file with its plots in it.
func (r *Report) Page(w io.Writer) error {
	t, err := template.New("page").Funcs(template.FuncMap{
		"percent": Percent,
		"det":     func() template.HTML { return template.HTML(r.detPlot()) },       // made of numbers only
		"shapes":  func() template.HTML { return template.HTML(r.histogramPlot()) }, // made of numbers only
		"points":  r.Points,
		"cells":   Group.cells,
	}).Parse(pageText)
	if err != nil {
		return err
	}
	return t.Execute(w, r)
}

// Percent writes a rate in percent with three significant digits.
func Percent(v float64) string {
	if v == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.3g %%", 100*v)
}

// Point is a line of the table of operating points.
type Point struct {
	FMR, Threshold, FNMR, Interval string
}

// cells gives the columns of a group: its rates at each operating point.
func (g Group) cells() []string {
	var out []string
	for _, f := range FMRs() {
		k := Key(f)
		fmr := Percent(g.FMR[k])
		if !g.Supported[k] {
			fmr = "not supported"
		}
		out = append(out, fmr+"; "+Percent(g.FNMR[k])+", at most "+Percent(g.FNMRHigh[k]))
	}
	return out
}

// Line tells of a group in one line: its rates at each operating point.
func (g Group) Line() string {
	out := fmt.Sprintf("%d people", g.People)
	for i, c := range g.cells() {
		out += fmt.Sprintf("; at FMR %s: %s", Percent(FMRs()[i]), c)
	}
	return out
}

// Points gives the operating points in words: what is not supported says so.
func (r *Report) Points() []Point {
	var out []Point
	for _, f := range FMRs() {
		k := Key(f)
		p := Point{FMR: Percent(f), Threshold: "not supported", FNMR: "not supported", Interval: fmt.Sprintf("%d people are too few", r.People)}
		if r.Supported[k] {
			i := r.FNMRInterval[k]
			p.Threshold, p.FNMR, p.Interval = fmt.Sprintf("%.4f", r.Threshold[k]), Percent(r.FNMR[k]), Percent(i[0])+" to "+Percent(i[1])
		}
		out = append(out, p)
	}
	return out
}

// Size of a plot and of the margins for its axes.
const (
	plotWide, plotHigh = 560.0, 380.0
	plotLeft, plotFoot = 70.0, 45.0
)

// axes begins a plot: x and y give positions in the unit square.
func axes(title, xName, yName string) *strings.Builder {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, plotWide+plotLeft+20, plotHigh+plotFoot+20, title)
	fmt.Fprintf(&b, `<rect x="%g" y="10" width="%g" height="%g" class="frame"/>`, plotLeft, plotWide, plotHigh)
	fmt.Fprintf(&b, `<text x="%g" y="%g" text-anchor="middle">%s</text>`, plotLeft+plotWide/2, plotHigh+plotFoot+12, xName)
	fmt.Fprintf(&b, `<text x="14" y="%g" text-anchor="middle" transform="rotate(-90 14 %g)">%s</text>`, 10+plotHigh/2, 10+plotHigh/2, yName)
	return &b
}

func at(x, y float64) (float64, float64) { return plotLeft + x*plotWide, 10 + (1-y)*plotHigh }

func tick(b *strings.Builder, x, y float64, label string, vertical bool) {
	px, py := at(x, y)
	if vertical {
		fmt.Fprintf(b, `<path d="M%.1f 10V%.1f" class="grid"/><text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, px, 10+plotHigh, px, 10+plotHigh+18, label)
		return
	}
	fmt.Fprintf(b, `<path d="M%.1f %.1fH%.1f" class="grid"/><text x="%.1f" y="%.1f" text-anchor="end">%s</text>`, plotLeft, py, plotLeft+plotWide, plotLeft-6, py+4, label)
}

// detPlot draws the detection error trade-off, both axes logarithmic from
// 0.001 % to 100 %.
func (r *Report) detPlot() string {
	const decades = 5
	place := func(v float64) float64 { return 1 + math.Log10(max(v, math.Pow(10, -decades)))/decades }
	b := axes("detection error trade-off", "false match rate", "false non-match rate")
	for d := range decades + 1 {
		label := Percent(math.Pow(10, float64(d-decades)))
		tick(b, float64(d)/decades, 0, label, true)
		tick(b, 0, float64(d)/decades, label, false)
	}
	for i, p := range r.DET {
		x, y := at(place(p.FMR), place(p.FNMR))
		if i == 0 {
			fmt.Fprintf(b, `<path class="curve" d="M%.1f %.1f`, x, y)
			continue
		}
		fmt.Fprintf(b, "L%.1f %.1f", x, y)
	}
	b.WriteString(`"/>`)
	// Left of here the number of people is no evidence.
	limit, _ := at(place(min(1, 3/float64(max(1, pairsOf(r.People))))), 0)
	fmt.Fprintf(b, `<rect x="%g" y="10" width="%.1f" height="%g" class="beyond"/>`, plotLeft, max(0, limit-plotLeft), plotHigh)
	x, y := at(place(r.EER), place(r.EER))
	fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="4" class="mark"/></svg>`, x, y)
	return b.String()
}

// histogramPlot draws how the scores of both kinds are spread, each as a part
// of its kind, over the range in which there are any.
func (r *Report) histogramPlot() string {
	b := axes("scores", "score (cosine)", "part of the trials of its kind")
	steps := len(r.Scores.Genuine)
	first, last := r.scoreRange()
	place := func(i int) float64 { return float64(i-first) / float64(last-first) }
	score := func(i int) float64 { return -1 + 2*float64(i)/float64(steps) }
	for i := first; i <= last; i += histogramSteps / 20 {
		tick(b, place(i), 0, fmt.Sprintf("%.1f", score(i)), true)
	}
	top := 0.0
	kinds := []struct {
		class string
		n     []int
		all   int
	}{{"impostor", r.Scores.Impostor, r.Impostor}, {"genuine", r.Scores.Genuine, r.Genuine}}
	for _, k := range kinds {
		for _, n := range k.n {
			top = max(top, float64(n)/float64(max(1, k.all)))
		}
	}
	for i := range 5 {
		tick(b, 0, float64(i)/4, Percent(top*float64(i)/4), false)
	}
	for _, k := range kinds {
		x, y := at(0, 0)
		fmt.Fprintf(b, `<path class="%s" d="M%.1f %.1f`, k.class, x, y)
		for i := first; i < last; i++ {
			x0, y0 := at(place(i), float64(k.n[i])/float64(max(1, k.all))/max(top, 1e-9))
			x1, _ := at(place(i+1), 0)
			fmt.Fprintf(b, "L%.1f %.1fL%.1f %.1f", x0, y0, x1, y0)
		}
		x, y = at(1, 0)
		fmt.Fprintf(b, `L%.1f %.1fZ"/>`, x, y)
	}
	mark := min(max((r.At.Threshold-score(first))/(score(last)-score(first)), 0), 1)
	x, _ := at(mark, 0)
	fmt.Fprintf(b, `<path d="M%.1f 10V%.1f" class="threshold"/></svg>`, x, 10+plotHigh)
	return b.String()
}

// scoreRange gives the steps of the histogram between which scores lie,
// rounded to tenths of the cosine.
func (r *Report) scoreRange() (first, last int) {
	const tenth = histogramSteps / 20
	first, last = histogramSteps, 0
	for i := range r.Scores.Genuine {
		if r.Scores.Genuine[i]+r.Scores.Impostor[i] > 0 {
			first, last = min(first, i), max(last, i+1)
		}
	}
	if first >= last {
		return 0, histogramSteps
	}
	return first / tenth * tenth, (last + tenth - 1) / tenth * tenth
}
