package manifest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/language"

	"gateagent/match/allowlist"
)

// departure of the flight that a list is about.
type departure struct {
	flight string    // VN123
	board  string    // IATA code; may be empty
	day    time.Time // local day, as midnight UTC
	at     time.Duration
	timed  bool // at is the time of day
}

func (d departure) String() string {
	return d.flight + "/" + strings.ToUpper(d.day.Format("02Jan"))
}

// row gives the set and the window of everybody on the flight.
func (o *Options) row(d departure) (row allowlist.Row, err error) {
	plan := o.Plan.of(d)
	gates := o.Gates
	if len(plan.gates) > 0 {
		gates = plan.gates
	}
	if len(gates) == 0 {
		return row, fmt.Errorf("%s: the plan names no gates for the flight, and --gates does not either", d)
	}
	row = allowlist.Row{Set: allowlist.Set{Flights: []string{d.flight}, Gates: gates}, Answer: allowlist.Allow}
	if plan.timed {
		d.at, d.timed = plan.departs, true
	}
	local := func(t time.Duration) time.Time {
		return time.Date(d.day.Year(), d.day.Month(), d.day.Day(), int(t/time.Hour), int(t/time.Minute)%60, 0, 0, o.Zone)
	}
	first, last := local(0), local(24*time.Hour)
	if d.timed {
		first = local(d.at)
		last = first
	}
	row.From, row.Until = first.Add(-o.Opens), last.Add(o.Closes)
	return row, nil
}

// elsewhere says that the flight leaves from another airport than the list is
// for.
func (o *Options) elsewhere(board string) bool {
	return o.Airport != "" && board != "" && board != o.Airport
}

// traveller as a passenger list names one.
type traveller struct {
	surname, given string
	birth          time.Time // zero: not given
	documents      []document
	fault          *allowlist.FieldError // why this traveller cannot be taken
	at             int64
}

// document is a travel document as a passenger list names it.
type document struct {
	kind, issuer, number string
	at                   int64
}

func fault(field, reason string) *allowlist.FieldError {
	return &allowlist.FieldError{Field: field, Reason: reason}
}

// emit gives a traveller to the sink.
func (r *Reader) emit(d departure, t *traveller) error {
	if t.fault != nil {
		r.sink.Reject(t.at, t.fault.Field, t.fault.Reason)
		return nil
	}
	row, err := r.opt.row(d)
	if err != nil {
		return err
	}
	named := false
	for _, doc := range t.documents {
		if !doc.complete() {
			continue
		}
		named = true
		if err := r.emitNumber(row, doc); err != nil {
			return err
		}
	}
	if named {
		return nil
	}
	if t.birth.IsZero() || t.surname == "" {
		r.sink.Reject(t.at, "document", t.lacks())
		return nil
	}
	row.Document = allowlist.Document{
		Name: strings.TrimRight(t.surname+"<<"+t.given, "<"), Birth: t.birth.Format(time.DateOnly), Flight: d.flight,
	}
	_, err = r.add(row, t.at)
	return err
}

func (t *traveller) lacks() string {
	if len(t.documents) > 0 {
		return "has no issuing state or no whole number, and there is no birth date to go by the name"
	}
	return "is missing, and there is no birth date to go by the name"
}

// emitNumber enters a document under every form of its type.
func (r *Reader) emitNumber(row allowlist.Row, doc document) error {
	issuer := alpha3(doc.issuer)
	number, err := allowlist.PlainNumber(doc.number)
	var field *allowlist.FieldError
	if errors.As(err, &field) {
		r.sink.Reject(doc.at, field.Field, field.Reason)
		return nil
	}
	for _, kind := range mrzTypes(doc.kind, issuer) {
		row.Document = allowlist.Document{Issuer: issuer, Type: kind, Number: number}
		if taken, err := r.add(row, doc.at); !taken {
			return err
		}
	}
	return nil
}

// add leaves a rejected row behind; the sink has reported it.
func (r *Reader) add(row allowlist.Row, at int64) (taken bool, err error) {
	err = r.sink.Add(row, at)
	var field *allowlist.FieldError
	if errors.As(err, &field) {
		return false, nil
	}
	return err == nil, err
}

// vietnamDigits is the length of a citizen number.
const vietnamDigits = 12

// complete says whether a document is named completely. The nine digits of a
// Vietnamese identity card's number field are not: strangers share them.
func (d document) complete() bool {
	if d.issuer == "" || d.number == "" {
		return false
	}
	if alpha3(d.issuer) != "VNM" || !strings.HasPrefix(d.kind, "I") {
		return true
	}
	plain, err := allowlist.PlainNumber(d.number)
	return err != nil || len(plain) == vietnamDigits
}

// mrzTypes gives the document types under which a machine readable zone may
// show what a booking calls a passport or an identity card (ICAO 9303-4 and
// 9303-5, section 4.2.2.1: the second character is the issuer's).
func mrzTypes(kind, issuer string) []string {
	switch {
	case kind == "P":
		return []string{"P", "PP"}
	case kind == "I" && issuer == "VNM":
		return []string{"ID"}
	case kind == "I":
		return []string{"I", "ID"}
	}
	return []string{kind}
}

// alpha3 brings a state into the three letters of a machine readable zone;
// booking systems write two (ISO 3166-1). What is unknown stays as it is and is
// rejected by the builder.
func alpha3(code string) string {
	code = strings.ToUpper(strings.TrimSpace(code))
	if len(code) != 2 {
		return code
	}
	if code == "XK" {
		return "RKS" // Kosovo: no code of ISO 3166-1
	}
	region, err := language.ParseRegion(code)
	if err != nil || !region.IsCountry() {
		return code
	}
	return region.ISO3()
}

// flightNumber brings a flight into its one form: VN0123 is VN123.
func flightNumber(airline, number, suffix string) string {
	n, err := strconv.Atoi(number)
	if err != nil {
		return ""
	}
	return airline + strconv.Itoa(n) + suffix
}
