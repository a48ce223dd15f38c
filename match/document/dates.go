package document

import (
	"fmt"
	"time"

	"gateagent/gate/mrz"
)

// span is a date of the machine readable zone, where day, or day and month,
// may be left open (ICAO 9303-3 section 4.8).
type span struct {
	first, last time.Time // first and last day that it can mean
	text        string    // as exact as stated
}

// vietnamUnlimited stands in the expiry of Vietnamese identity cards that do
// not expire (holders over 60; observed, not an ICAO rule).
const vietnamUnlimited = "991231"

// readDate reads YYMMDD in a century. Open parts are fillers; zeros, which no
// date has, count as open too. False means unknown or impossible.
func readDate(s string, century int, zone *time.Location) (span, bool) {
	if len(s) != 6 {
		return span{}, false
	}
	year, ok := twoDigits(s[:2])
	if !ok {
		return span{}, false
	}
	year += century
	if open(s[2:4]) {
		return span{
			first: time.Date(year, 1, 1, 0, 0, 0, 0, zone), last: time.Date(year, 12, 31, 0, 0, 0, 0, zone),
			text: fmt.Sprintf("%04d", year),
		}, open(s[4:])
	}
	month, ok := twoDigits(s[2:4])
	if !ok || month > 12 {
		return span{}, false
	}
	if open(s[4:]) {
		first := time.Date(year, time.Month(month), 1, 0, 0, 0, 0, zone)
		return span{first: first, last: first.AddDate(0, 1, -1), text: first.Format("2006-01")}, true
	}
	day, ok := twoDigits(s[4:])
	d := time.Date(year, time.Month(month), day, 0, 0, 0, 0, zone)
	if !ok || d.Day() != day {
		return span{}, false
	}
	return span{first: d, last: d, text: d.Format("2006-01-02")}, true
}

func open(s string) bool { return s == "<<" || s == "00" }

func twoDigits(s string) (int, bool) {
	if s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9' {
		return 0, false
	}
	return int(s[0]-'0')*10 + int(s[1]-'0'), true
}

// readBirth takes the latest year with these two digits that is not in the
// future.
func readBirth(s string, now time.Time, zone *time.Location) (span, bool) {
	if d, ok := readDate(s, 2000, zone); ok && !d.first.After(now) {
		return d, true
	}
	return readDate(s, 1900, zone)
}

func isVietnamID(d *mrz.Document) bool {
	return d.Issuer == "VNM" && d.Format == mrz.TD1 && len(d.Type) > 0 && d.Type[0] == 'I'
}

// unlimited says whether a document has no expiry.
func unlimited(d *mrz.Document) bool { return isVietnamID(d) && d.Expiry == vietnamUnlimited }
