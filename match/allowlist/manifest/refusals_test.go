package manifest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"gateagent/match/allowlist"
)

const pnlName = "-FRA001Y\n1NGUYEN/ANMR .L/ABC123 .R/DOCS HK1/P/VNM/B1234567/VNM/15AUG80/M/20AUG30/NGUYEN/AN\n"

func pnl(part, end string) string {
	return ".HDQRMVN 280912\nPNL\nVN123/01MAR HAN " + part + "\n" + pnlName + end + "\n"
}

func adl(sent, part, body, end string) string {
	return ".HDQRMVN " + sent + "\nADL\nVN123/01MAR HAN " + part + "\n-FRA001Y\n" + body + end + "\n"
}

// What was cut, or is not what it says, is refused as a whole: the error names
// the part.
func TestTelegramsRefused(t *testing.T) {
	whole := pnl("PART1", "ENDPNL")
	for name, c := range map[string]struct {
		inputs []string
		want   string
	}{
		"first part missing":        {[]string{pnl("PART2", "ENDPNL")}, "PNL VN123/01MAR HAN: part 1 of 2 is missing"},
		"middle part missing":       {[]string{pnl("PART3", "ENDPNL") + pnl("PART1", "ENDPART1")}, "PNL VN123/01MAR HAN: part 2 of 3 is missing"},
		"last part missing":         {[]string{pnl("PART1", "ENDPART1")}, "PNL VN123/01MAR HAN: the last part is missing"},
		"part behind the last":      {[]string{whole + pnl("PART2", "ENDPNL")}, "PNL VN123/01MAR HAN: part 1 ends it, and there is a part 2"},
		"cut":                       {[]string{pnl("PART1", "")}, "input 1: PNL VN123/01MAR HAN part 1 has no end"},
		"cut before another":        {[]string{pnl("PART1", "") + whole}, "line 8: PNL VN123/01MAR HAN part 1 has no end"},
		"two PNLs":                  {[]string{whole, strings.Replace(whole, "NGUYEN", "LE", 1)}, "two different telegrams are PNL VN123/01MAR HAN part 1"},
		"ADL alone":                 {[]string{adl("281000", "PART1", "ADD\n1LE/A\n", "ENDADL")}, "its PNL is missing"},
		"ADL's part missing":        {[]string{whole, adl("281000", "PART2", "ADD\n1LE/A\n", "ENDADL")}, "ADL VN123/01MAR HAN: part 1 of 2 is missing"},
		"ends as another part":      {[]string{pnl("PART1", "ENDPART2")}, "part 1 ends as part 2"},
		"ends as an ADL":            {[]string{pnl("PART1", "ENDADL")}, "ends as ADL"},
		"section in a PNL":          {[]string{strings.Replace(whole, "-FRA", "DEL\n-FRA", 1)}, "has a section DEL"},
		"no flight":                 {[]string{"PNL\nHELLO\nENDPNL\n"}, "line 2: behind PNL stands no flight"},
		"impossible day":            {[]string{strings.Replace(whole, "01MAR", "31FEB", 1)}, "date or part number is impossible"},
		"part 0":                    {[]string{pnl("PART0", "ENDPNL")}, "date or part number is impossible"},
		"a line without end":        {[]string{"PNL\n" + strings.Repeat("X", maxTelegramLine+1)}, "line 2 is longer than"},
		"every fault of every part": {[]string{pnl("PART4", "ENDPART4")}, "part 3 is missing"},
	} {
		s := readAll(t, testOptions(), c.inputs...)
		if s.err == nil || !strings.Contains(s.err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, s.err, c.want)
		}
		if s.sum.Root != "" {
			t.Errorf("%s: a list was built", name)
		}
	}
}

const paxHead = "UNB+UNOA:4+A+B+260301:0600+9'UNH+1+PAXLST:D:05B'BGM+745'TDT+20+VN1'LOC+125+HAN'DTM+189:2603011200:201'"
const paxOne = "NAD+FL+++NGUYEN:AN'DOC+P+B1234567'LOC+91+VNM'"

func pax(tail string) string { return paxHead + paxOne + tail }

func TestInterchangesRefused(t *testing.T) {
	const rest = "CNT+42:1'UNT+10+1'UNZ+1+9'"
	part := func(n, count string) string {
		return "UNB+UNOA:4+A+B+260301:0600+9'UNH+1+PAXLST:D:05B:UN+VN1+" + n + "'BGM+745'TDT+20+VN1'LOC+125+HAN'DTM+189:2603011200:201'" +
			paxOne + "CNT+42:" + count + "'UNT+10+1'UNZ+1+9'"
	}
	if s := readAll(t, testOptions(), pax(rest)); s.err != nil || s.sum.Entries != 2 || s.stats[0].Travellers != 1 {
		t.Fatalf("the sample itself: %v %+v", s.err, s.sum)
	}
	for name, c := range map[string]struct{ input, want string }{
		"segments":           {pax("CNT+42:1'UNT+11+1'UNZ+1+9'"), "UNT counts 11 segments, and there are 10"},
		"message reference":  {pax("CNT+42:1'UNT+10+2'UNZ+1+9'"), "UNT has another control reference"},
		"messages":           {pax("CNT+42:1'UNT+10+1'UNZ+2+9'"), "UNZ counts 2 messages, and there are 1"},
		"reference":          {pax("CNT+42:1'UNT+10+1'UNZ+1+8'"), "UNZ has another control reference"},
		"passengers":         {pax("CNT+42:2'UNT+10+1'UNZ+1+9'"), "CNT counts 2 passengers, and there are 1"},
		"no count":           {pax("CNT+42:x'UNT+10+1'UNZ+1+9'"), "CNT has no count"},
		"groups":             {"UNB+UNOA:4+A+B+1:1+9'UNG+PAXLST+A+B+1:1+7'UNE+0+7'UNZ+2+9'", "UNZ counts 2 groups"},
		"messages in group":  {"UNB+UNOA:4+A+B+1:1+9'UNG+PAXLST+A+B+1:1+7'UNE+1+7'UNZ+1+9'", "UNE counts 1 messages"},
		"group reference":    {"UNB+UNOA:4+A+B+1:1+9'UNG+PAXLST+A+B+1:1+7'UNE+0+8'UNZ+1+9'", "UNE has another control reference"},
		"cut":                {paxHead + paxOne, "before the interchange does (UNZ): it was cut"},
		"nothing":            {"UNH+1'", "neither CSV"},
		"another message":    {strings.Replace(pax(rest), "PAXLST", "CUSRES", 1), "no PAXLST of directory D"},
		"another charset":    {strings.Replace(pax(rest), "UNOA", "UNOK", 1), "character set other than"},
		"a test":             {strings.Replace(pax(rest), "+9'UNH", "+9++++++1'UNH", 1), "calls itself a test"},
		"withdrawn":          {strings.Replace(pax(rest), "BGM+745'", "BGM+745+XR'", 1), "withdraws passengers"},
		"another purpose":    {strings.Replace(pax(rest), "BGM+745'", "BGM+266'", 1), "neither a passenger list"},
		"no purpose":         {strings.Replace(pax(rest), "BGM+745'", "FTX+1'", 1), "before it says what it is"},
		"no flight":          {strings.Replace(pax(rest), "TDT+20+VN1'", "FTX+1'", 1), "no departure stands before"},
		"odd flight":         {strings.Replace(pax(rest), "TDT+20+VN1'", "TDT+20+SHIP'", 1), "TDT names no flight"},
		"no departure":       {strings.Replace(pax(rest), "DTM+189:2603011200:201'", "FTX+1'", 1), "no departure stands before"},
		"no such day":        {strings.Replace(pax(rest), "2603011200", "2602301200", 1), "no departure stands before"},
		"one in another":     {paxHead + "UNH+2+PAXLST:D:05B'", "UNH stands inside a message"},
		"segment outside":    {"UNB+UNOA:4+A+B+1:1+9'BGM+745'", "BGM stands outside of a message"},
		"two UNB":            {"UNB+UNOA:4+A+B+1:1+9'UNB+UNOA:4+A+B+1:1+9'", "UNB stands inside an interchange"},
		"UNZ too early":      {pax("UNZ+1+9'"), "UNZ stands inside"},
		"an endless segment": {paxHead + "FTX+" + strings.Repeat("A", maxSegment), "segment 7 is longer than 8192 bytes"},
		"many elements":      {paxHead + "FTX+" + strings.Repeat("+", maxElements) + "'", "segment 7 has more than 64"},
		"a tag":              {paxHead + "FT+1'", "segment 7 has no tag"},
		"two meanings":       {"UNA++.? '" + pax(rest), "one character two meanings"},
		"odd, without UNA":   {strings.ReplaceAll(pax(rest), "+", "*"), "has no UNA"},
		"first part missing": {part("02:F", "1"), "input 1: list that begins at segment 2: part 1 of 2 is missing"},
		"sum of all parts":   {part("01:C", "3") + part("02:F", "3"), "CNT counts 3 passengers in all parts, and there are 2"},
		"behind the last":    {part("03", "1") + part("02:F", "1") + part("01:C", "1"), "part 2 ends it, and there is a part 3"},
		"part 0":             {part("0", "1"), "impossible sequence"},
	} {
		s := readAll(t, testOptions(), c.input)
		if s.err == nil || !strings.Contains(s.err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, s.err, c.want)
		}
		if s.sum.Root != "" {
			t.Errorf("%s: a list was built", name)
		}
	}
}

// A PNL and its ADLs give what a PNL of the final bookings gives, in whatever
// order the telegrams come.
func TestADLsGiveTheFinalList(t *testing.T) {
	doc := func(n string) string {
		return " .L/LOC" + n + " .R/DOCS HK1/P/VNM/C700000" + n + "/VNM/15AUG80/M/20AUG30/PAX" + n + "/A\n"
	}
	name := func(n string) string { return "1PAX" + n + "/AMR" + doc(n) }
	first := ".HDQRMVN 270900\nPNL\nVN123/01MAR HAN PART1\n-FRA004Y\n" + name("A") + name("B") + name("C") + name("D") + "ENDPNL\n"
	one := adl("271000", "PART1", "DEL\n"+name("B")+"ADD\n"+name("E"), "ENDADL")
	two1 := adl("272359", "PART1", "DEL\n"+name("E"), "ENDPART1")
	two2 := adl("280001", "PART2", "ADD\n"+name("B")+"CHG\n1PAXC/AMR .L/LOCC .R/DOCS HK1/P/VNM/C9999999/VNM/15AUG80/M/20AUG30/PAXC/A\n", "ENDADL")
	final := ".HDQRMVN 270900\nPNL\nVN123/01MAR HAN PART1\n-FRA004Y\n" + name("A") + name("B") + name("D") +
		"1PAXC/AMR .L/LOCC .R/DOCS HK1/P/VNM/C9999999/VNM/15AUG80/M/20AUG30/PAXC/A\nENDPNL\n"
	want := readAll(t, testOptions(), final)
	if want.err != nil || len(want.rows) != 8 {
		t.Fatalf("final list: %v %v", want.err, want.rows)
	}
	slices.Sort(want.rows)
	for _, order := range [][]string{
		{first, one, two1, two2}, {two2, two1, one, first}, {one, two2, first, two1},
		{first, first, one, one, two2, two1}, {first + one + two2 + two1},
	} {
		got := readAll(t, testOptions(), order...)
		slices.Sort(got.rows)
		if got.err != nil || !slices.Equal(got.rows, want.rows) {
			t.Errorf("%v\n%s", got.err, strings.Join(got.rows, "\n"))
		}
	}
}

// Deletions that fit nobody or too many are told; infants go with their adult.
func TestDeletions(t *testing.T) {
	list := ".HDQRMVN 270900\nPNL\nVN123/01MAR HAN PART1\n-FRA004Y\n" +
		"2TWIN/AMR/AMR .L/TWINS1 .R/DOCS HK1/P/VNM/C1/VNM/15AUG80/M/20AUG30/TWIN/A-1TWIN/AMR\n" +
		"1MOTHER/AMRS .L/MOTHER .R/INFT HK1 10JAN26 CHILD/B\n.R/DOCS HK1/P/VNM/C2/VNM/15AUG80/F/20AUG30/MOTHER/A\n" +
		"1STAYS/A .L/STAYS1 .R/DOCS HK1/P/VNM/C3/VNM/15AUG80/F/20AUG30/STAYS/A\nENDPNL\n"
	s := readAll(t, testOptions(), list, adl("271000", "PART1", "DEL\n1TWIN/AMR .L/TWINS1\n1MOTHER/AMRS .L/MOTHER\n1STAYS/A .L/OTHER1\n1NOBODY/A .L/STAYS1\n", "ENDADL"))
	if s.err != nil || len(s.rows) != 2 || !strings.Contains(s.rows[0], " C3 ") {
		t.Errorf("%v %v", s.err, s.rows)
	}
	issues := strings.Join(s.issues, "\n")
	for _, want := range []string{"2:6 note: a deletion or change fits 2 travellers", "2:8 rejected: name of a deletion", "2:9 rejected: name of a deletion"} {
		if !strings.Contains(issues, want) {
			t.Errorf("%q is missing in\n%s", want, issues)
		}
	}
}

// Another airport's travellers are left out, and that is told.
func TestAirport(t *testing.T) {
	opt := testOptions()
	opt.Airport = "sgn"
	s := readAll(t, opt, pnl("PART1", "ENDPNL"), pax("CNT+42:1'UNT+10+1'UNZ+1+9'"))
	if s.err != nil || len(s.rows) != 0 || len(s.issues) != 2 {
		t.Errorf("%v %v %v", s.err, s.rows, s.issues)
	}
	opt.Airport = "HAN"
	if s = readAll(t, opt, pnl("PART1", "ENDPNL"), pax("CNT+42:1'UNT+10+1'UNZ+1+9'")); s.err != nil || len(s.rows) != 4 {
		t.Errorf("%v %v", s.err, s.rows)
	}
}

func TestOptionsAreWanted(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"gates": func(o *Options) { o.Gates = nil },
		"zone":  func(o *Options) { o.Zone = nil },
		"72h":   func(o *Options) { o.Opens = 73 * time.Hour },
		"issue": func(o *Options) { o.Now = time.Time{} },
		"":      nil,
	} {
		opt := testOptions()
		if change != nil {
			change(&opt)
		}
		if s := readAll(t, opt, pnl("PART1", "ENDPNL")); (s.err == nil) != (change == nil) {
			t.Errorf("%s: %v", name, s.err)
		}
	}
	// CSV says it all itself.
	if s := readAll(t, Options{}, "signature,flights,gates,from,until,flags\n"); s.err != nil {
		t.Error(s.err)
	}
}

func TestDetect(t *testing.T) {
	for text, want := range map[string]Format{
		"issuer,type\n":                        CSV,
		"\ufeffa,b":                            CSV,
		"PNL\nVN1/01MAR HAN PART1\n":           Telegrams,
		"\x01QU HANKMVN\r\n.X\r\n\x02ADL \r\n": Telegrams,
		paxHead:                                PAXLST,
		"X\n\x02UNA:(.) -\r\nUNB(UNOA:4":       PAXLST,
		"":                                     "",
		"hello":                                "",
		"\x7fELF":                              "",
	} {
		got, err := detect(bufio.NewReaderSize(strings.NewReader(text), sniffed))
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, name := range []string{"auto", "csv", "pnl", "adl", "paxlst"} {
		if _, err := ParseFormat(name); err != nil {
			t.Error(err)
		}
	}
	if _, err := ParseFormat("xml"); err == nil {
		t.Error("xml is no format")
	}
}

// A sink that fails and a context that ends stop the reading.
func TestStops(t *testing.T) {
	for _, text := range []string{pnl("PART1", "ENDPNL"), pax("CNT+42:1'UNT+10+1'UNZ+1+9'")} {
		r := NewReader(testOptions(), failing{})
		err := r.Read(t.Context(), "x", strings.NewReader(text), Auto, nil)
		if err = errors.Join(err, r.Finish(t.Context())); !errors.Is(err, errSink) {
			t.Errorf("%v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	endless := io.MultiReader(strings.NewReader(paxHead), &repeat{text: paxOne})
	if err := NewReader(testOptions(), counting{}).Read(ctx, "x", endless, PAXLST, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := NewReader(testOptions(), counting{}).Read(ctx, "x", &repeat{text: "X\n"}, Telegrams, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	broken := io.MultiReader(strings.NewReader(paxHead), iotest.ErrReader(errSink))
	if err := NewReader(testOptions(), counting{}).Read(t.Context(), "x", broken, Auto, nil); !errors.Is(err, errSink) {
		t.Errorf("%v", err)
	}
}

// repeat gives a text without end.
type repeat struct {
	text string
	at   int
}

func (r *repeat) Read(b []byte) (int, error) {
	n := copy(b, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

// counting takes all.
type counting struct{}

func (counting) Add(allowlist.Row, int64) error { return nil }
func (counting) Reject(int64, string, string)   {}
