package allowlist

import (
	"strings"
	"testing"

	"gateagent/gate/mrz"
)

func TestPlainNumber(t *testing.T) {
	for in, want := range map[string]string{
		"":                "",
		"C01X00T47":       "C01X00T47",
		"L898902C3":       "L898902C3",
		"L898902C<3":      "L898902C", // ICAO's specimen
		"l898902c<3":      "L898902C",
		"L898902C<":       "L898902C",
		"L898902C<<":      "L898902C",
		"A1<<<<<<<":       "A1",
		"001099000001<<":  "001099000001",
		"0010 9900 0001":  "0010 9900 0001", // the document's own form takes spaces away
		"L898902C<4":      "refused",
		"001099000001<<4": "refused",
		"A<1":             "refused",
		"A1<<<<<<<9":      "refused",
	} {
		got, err := PlainNumber(in)
		if err != nil {
			got = "refused"
		}
		if got != want {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
	digit, err := mrz.CheckDigit("001099000001")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := PlainNumber("001099000001<<" + string(digit)); err != nil || got != "001099000001" {
		t.Errorf("a right digit: %q, %v", got, err)
	}
}

// Rows of a CSV may name a document by its number, by its signature, or its
// holder on each flight of the row.
func TestCSVMatchKeys(t *testing.T) {
	const times = ",2026-03-01T12:00:00+07:00,2026-03-02T12:00:00+07:00,allow\n"
	const all = "issuer,type,number,signature,name,birth,flights,gates,from,until,flags\n"
	const byName = "name,birth,flights,gates,from,until,flags\n"
	signature := strings.Repeat("0a", 32)
	for name, c := range map[string]struct {
		text              string
		entries, rejected uint64
	}{
		"each key once":           {all + "FRA,P,A1,,,,VN10,G1" + times + ",,," + signature + ",,,VN10,G1" + times + ",,,,Do/An,1999-08-17,VN10;VN11,G1" + times, 4, 0},
		"a signature goes first":  {all + "FRA,P,A1," + signature + ",,,VN10,G1" + times + ",,," + signature + ",,,VN10,G1" + times, 1, 0},
		"check digits":            {csvHead + "UTO,P,L898902C<3,VN10,G1" + times + "UTO,P,L898902C<4,VN10,G1" + times, 1, 1},
		"no signature":            {all + ",,,0a,,,VN10,G1" + times, 0, 1},
		"no key":                  {all + ",,,,,,VN10,G1" + times, 0, 1},
		"a name without a flight": {byName + "Do/An,1999-08-17,,G1" + times, 0, 1},
		"a name without a birth":  {byName + "Do/An,,VN10,G1" + times, 0, 1},
		"a birth of a year alone": {byName + "Do/An,1999,VN10,G1" + times, 0, 1},
		"an impossible birth":     {byName + "Do/An,1999-02-29,VN10,G1" + times, 0, 1},
		"one name, two writings":  {byName + "Đỗ/Ân,1999-08-17,VN010,G1" + times + "DO<<AN,1999-08-17,VN10,G1" + times, 1, 0},
	} {
		sum, issues, err := readCSV(t, c.text, nil)
		if err != nil || sum.Entries != c.entries || sum.Rejected != c.rejected {
			t.Errorf("%s: %d entries, %d rejected, %v, %v; want %d and %d", name, sum.Entries, sum.Rejected, issues, err, c.entries, c.rejected)
		}
	}
	for _, head := range []string{"issuer,number,flights,gates,from,until,flags\n", "name,flights,gates,from,until,flags\n"} {
		if _, _, err := readCSV(t, head, nil); err == nil || !strings.Contains(err.Error(), "name no document") {
			t.Errorf("%s: %v", head, err)
		}
	}
}
