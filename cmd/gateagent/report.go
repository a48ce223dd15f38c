package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	"gateagent/gate"
)

// report is what `read --json` prints.
type report struct {
	Overall  gate.Result   `json:"overall"`
	Checks   []gate.Check  `json:"checks"`
	Document *reportHolder `json:"document"`
	Portrait *reportImage  `json:"portrait"`
	Timing   reportTiming  `json:"timing"`
}

type reportHolder struct {
	Type        string            `json:"type"`
	Issuer      string            `json:"issuer"`
	Number      string            `json:"number"`
	Optional    string            `json:"optional"`
	Name        string            `json:"name"`
	Birth       string            `json:"birth"`
	Sex         string            `json:"sex"`
	Expiry      string            `json:"expiry"`
	Nationality string            `json:"nationality"`
	National    map[string]string `json:"national"`
}

type reportImage struct {
	Format string `json:"format"`
	Bytes  int    `json:"bytes"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
}

type reportTiming struct {
	TotalMS  float64            `json:"total_ms"`
	APDUs    int                `json:"apdus"`
	BytesOut int                `json:"bytes_out"`
	BytesIn  int                `json:"bytes_in"`
	PhasesMS map[string]float64 `json:"phases_ms"`
}

// newReport draws up the report. The holder's data appear only when DG1 and
// DG2 are proven and nothing says that the security object is forged.
func newReport(in *gate.Inspection, p gate.Profile, total time.Duration, full, personal bool) *report {
	r := &report{
		Overall: p.Overall(&in.Report, in.Document.Issuer),
		Checks:  in.Report.Checks(),
		Timing: reportTiming{
			TotalMS: millis(total), APDUs: in.Stats.APDUs, BytesOut: in.Stats.BytesOut, BytesIn: in.Stats.BytesIn,
			PhasesMS: map[string]float64{},
		},
	}
	for _, name := range [...]string{"access", "sod", "chip", "dg1", "dg2"} {
		r.Timing.PhasesMS[name] = millis(in.Phases[name]) // zero: not reached
	}
	forged := in.Report.Result(gate.CheckSOD) == gate.Failed || in.Report.Result(gate.CheckDSSignature) == gate.Failed
	if !in.HasDocument || !in.HasPortrait || forged {
		return r
	}
	r.Document = holder(in.Document, full, personal)
	r.Portrait = &reportImage{in.Portrait.Format, in.Portrait.Bytes, in.Portrait.Width, in.Portrait.Height}
	return r
}

func millis(d time.Duration) float64 { return math.Round(d.Seconds()*1e4) / 10 }

// holder copies the document's fields, or "-" for each without personal.
func holder(d gate.Document, full, personal bool) *reportHolder {
	h := &reportHolder{
		Type: d.Type, Issuer: d.Issuer, Number: d.Number, Optional: d.Optional, Name: d.Name,
		Birth: d.Birth, Sex: d.Sex, Expiry: d.Expiry, Nationality: d.Nationality,
	}
	if full && d.National != nil {
		h.National = national(d.National)
	}
	if personal {
		return h
	}
	for _, f := range []*string{&h.Number, &h.Optional, &h.Name, &h.Birth, &h.Sex, &h.Expiry, &h.Nationality} {
		*f = "-"
	}
	for k := range h.National {
		h.National[k] = "-"
	}
	return h
}

// national lists what was read of DG13; nil when nothing was.
func national(n *gate.National) map[string]string {
	m := map[string]string{}
	for k, v := range map[string]string{
		"id": n.ID, "name": n.Name, "birth": n.Birth, "sex": n.Sex, "nationality": n.Nationality,
		"issue": n.Issue, "expiry": n.Expiry, "old_id": n.OldID,
	} {
		if v != "" {
			m[k] = v
		}
	}
	if len(m) == 0 {
		return nil
	}
	return m
}

func (r *report) print(w io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return enc.Encode(r)
	}
	mark := map[gate.Result]string{gate.Successful: "✓", gate.Failed: "✗", gate.Undetermined: "?", gate.NotSupported: "·", gate.Aborted: "!"}
	for _, c := range r.Checks {
		line := fmt.Sprintf("%s %-21s %-13s %s", mark[c.Result], c.ID, c.Result, c.Detail)
		if c.Code != 0 {
			line += fmt.Sprintf("  [%d %s]", c.Code, c.Code.Info().Text)
		}
		fmt.Fprintln(w, line)
	}
	if d := r.Document; d != nil {
		fmt.Fprintf(w, "\ndocument  %s %s  number %s  name %s  born %s  sex %s  expires %s  nationality %s\n",
			d.Type, d.Issuer, d.Number, d.Name, d.Birth, d.Sex, d.Expiry, d.Nationality)
	}
	if p := r.Portrait; p != nil {
		fmt.Fprintf(w, "portrait  %s, %d × %d, %d bytes\n", p.Format, p.Width, p.Height, p.Bytes)
	}
	_, err := fmt.Fprintf(w, "\n%s in %.0f ms, %d commands, %d bytes in\n", r.Overall, r.Timing.TotalMS, r.Timing.APDUs, r.Timing.BytesIn)
	return err
}

// exit gives the exit status of the overall result.
func (r *report) exit() error {
	switch r.Overall {
	case gate.Successful:
		return nil
	case gate.Failed:
		return exitCode(2)
	case gate.Aborted:
		return exitCode(4)
	}
	return exitCode(3)
}
