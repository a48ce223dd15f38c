package mrz

import (
	"bufio"
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
)

// sample is one entry of testdata/mrz.txt: published specimens.
type sample struct {
	valid  bool
	format string
	note   string
	text   string
}

func samples(t testing.TB) []sample {
	t.Helper()
	f, err := os.Open("testdata/mrz.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []sample
	var cur *sample
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		l := sc.Text()
		if word, rest, ok := strings.Cut(strings.TrimPrefix(l, "# "), " "); strings.HasPrefix(l, "# ") && ok && (word == "valid" || word == "invalid") {
			format, note, _ := strings.Cut(rest, ":")
			all = append(all, sample{valid: word == "valid", format: format, note: note})
			cur = &all[len(all)-1]
			continue
		}
		if cur != nil && l != "" && !strings.HasPrefix(l, "#") {
			cur.text += l + "\n"
		}
	}
	if err := sc.Err(); err != nil || len(all) < 20 {
		t.Fatalf("read %d samples: %v", len(all), err)
	}
	return all
}

func TestSamples(t *testing.T) {
	for _, s := range samples(t) {
		name := s.format + s.note
		d, err := Parse(s.text)
		if strings.HasPrefix(s.format, "MRV") {
			if err == nil || s.valid && !errors.Is(err, ErrVisa) {
				t.Errorf("%s: a visa gave %v", name, err)
			}
			continue
		}
		if strings.Contains(s.note, "line lengths") {
			if err == nil {
				t.Errorf("%s: accepted", name)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d.Format != s.format || d.Valid() != s.valid {
			t.Errorf("%s: format %s, valid %v, digits %v", name, d.Format, d.Valid(), d.Digits)
		}
		joined := strings.ReplaceAll(s.text, "\n", "")
		for _, text := range []string{joined, strings.ReplaceAll(s.text, "\n", "/"), strings.ReplaceAll(s.text, "\n", "\r\n")} {
			if again, err := Parse(text); err != nil || again.Number != d.Number || again.Format != d.Format {
				t.Errorf("%s: other separators: %v", name, err)
			}
		}
	}
}

// TestCompositeReported: the invalid samples say what the digit should be.
func TestCompositeReported(t *testing.T) {
	n := 0
	for _, s := range samples(t) {
		_, rest, ok := strings.Cut(s.note, "composite_check printed ")
		if !ok {
			continue
		}
		n++
		d, err := Parse(s.text)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range d.Digits {
			if g.Field == DigitComposite {
				if g.OK() || g.Printed != rest[0] || g.Computed != rest[len(rest)-1] {
					t.Errorf("%s: got printed %c computed %c", s.note, g.Printed, g.Computed)
				}
			} else if !g.OK() {
				t.Errorf("%s: %s is reported wrong", s.note, g.Field)
			}
		}
	}
	if n < 3 {
		t.Fatalf("only %d samples with a wrong composite digit", n)
	}
}

// TestInfo holds the examples of ICAO 9303-11 appendix D.2.
func TestInfo(t *testing.T) {
	for text, want := range map[string]string{
		"I<UTOSTEVENSON<<PETER<JOHN<<<<<<<<<</D23145890<UTO3407127M95071227349<<<8":                        "D23145890734934071279507122",
		"I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<</L898902C<3UTO6908061F9406236<<<<<<<8":                        "L898902C<369080619406236",
		"I<UTOD23145890<7349<<<<<<<<<<</3407127M9507122UTO<<<<<<<<<<<2/STEVENSON<<PETER<JOHN<<<<<<<<<":     "D23145890734934071279507122",
		"I<UTOL898902C<3<<<<<<<<<<<<<<</6908061F9406236UTO<<<<<<<<<<<1/ERIKSSON<<ANNA<MARIA<<<<<<<<<<":     "L898902C<369080619406236",
		"P<D<<MUSTERMANN<<ERIKA<<<<<<<<<<<<<<<<<<<<<</C11T002JM4D<<9608122F2310314<<<<<<<<<<<<<<<4":        "C11T002JM496081222310314",
		"IDVNM1991234579001199123457<<0/9908176F3908174VNM<<<<<<<<<<<0/TRAN<<THI<MAU<<<<<<<<<<<<<<<<<":     "199123457999081763908174",
		"P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<</L898902C<3UTO6908061F9406236ZE184226B<<<<<14" + "\n": "L898902C<369080619406236",
	} {
		d, err := Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := string(d.Info()); got != want {
			t.Errorf("%s: information %q, want %q", text, got, want)
		}
	}
}

func TestFields(t *testing.T) {
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	d, err := Parse("I<UTOD23145890<7349<<<<<<<<<<<\n3407127M9507122UTO<<<<<<<<<<<2\nSTEVENSON<<PETER<JOHN<<<<<<<<<")
	if err != nil {
		t.Fatal(err)
	}
	check("type", d.Type, "I")
	check("issuer", d.Issuer, "UTO")
	check("number field", d.NumberField, "D23145890")
	check("number", d.Number, "D23145890734")
	check("optional", d.Optional, "")
	check("surname", d.Surname, "STEVENSON")
	check("given", d.Given, "PETER JOHN")
	check("name field", d.NameField(), "STEVENSON<<PETER<JOHN")
	check("sex", d.Sex, "M")
	check("birth", d.Birth, "340712")
	check("expiry", d.Expiry, "950712")

	d, err = Parse("I<NLDXI85935F86999999990<<<<<<\n7208148F1108268NLD<<<<<<<<<<<4\nVAN<DER<STEEN<<MARIANNE<LOUISE")
	if err != nil {
		t.Fatal(err)
	}
	check("optional", d.Optional, "999999990")
	check("surname", d.Surname, "VAN DER STEEN")

	d, err = Parse("P<D<<MUSTERMANN<<ERIKA<<<<<<<<<<<<<<<<<<<<<<\nC11T002JM4D<<9608122F2310314<<<<<<<<<<<<<<<4")
	if err != nil {
		t.Fatal(err)
	}
	check("issuer", d.Issuer, "D")
	check("nationality", d.Nationality, "D")
	if _, ok := d.VietnamNumber(); ok {
		t.Error("a German passport has a Vietnamese number")
	}
}

const vnm = "IDVNM1991234579001199123457<<0\n9908176F3908174VNM<<<<<<<<<<<0\nTRAN<<THI<MAU<<<<<<<<<<<<<<<<<"

func TestVietnamNumber(t *testing.T) {
	d, err := Parse(vnm)
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := d.VietnamNumber(); !ok || n != "001199123457" {
		t.Fatalf("number %q, %v", n, ok)
	}
	for name, change := range map[string][2]string{
		"check digit":    {"<<0\n", "<<1\n"},
		"no check digit": {"<<0\n", "<<<\n"},
		"other digits":   {"9001199123457<<0", "9001199123475<<0"},
		"other nine":     {"1991234579", "1991234580"},
		"letter":         {"9001199123457<<0", "9O01199123457<<0"},
		"other issuer":   {"IDVNM", "IDUTO"},
		"passport":       {"IDVNM", "PDVNM"},
	} {
		d, err := Parse(strings.Replace(vnm, change[0], change[1], 1))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n, ok := d.VietnamNumber(); ok {
			t.Errorf("%s: number %q accepted", name, n)
		}
	}
	if _, ok := (&Document{}).VietnamNumber(); ok || (&Document{}).Valid() {
		t.Error("the zero document is valid")
	}
}

// TestEveryCharacterMatters: any one digit changed in a number, birth, expiry
// or optional position of a specimen is seen by some check digit.
func TestEveryCharacterMatters(t *testing.T) {
	for i := 5; i < 2*31-1; i++ {
		c := vnm[i]
		if c < '0' || c > '9' {
			continue
		}
		other := '0' + (c-'0'+1)%10
		d, err := Parse(vnm[:i] + string(other) + vnm[i+1:])
		if err != nil {
			t.Fatal(err)
		}
		if d.Valid() {
			t.Errorf("character %d changed unseen", i)
		}
	}
}

func TestRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty":      "",
		"blank":      "\r\n \n",
		"one line":   "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
		"lower case": strings.ToLower(vnm),
		"bad char":   strings.Replace(vnm, "MAU", "M?U", 1),
		"utf-8":      strings.Replace(vnm, "TRAN", "TR\u1ea6", 1),
		"four lines": vnm + "\n" + strings.Repeat("<", 30),
		"mixed":      "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nI<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<",
		"upside":     strings.Repeat("<", 30) + "\n" + vnm[31:],
		"flood":      strings.Repeat("P<UTO", 1000),
	} {
		d, err := Parse(text)
		if err == nil {
			t.Errorf("%s: accepted as %s", name, d.Format)
			continue
		}
		if strings.Contains(err.Error(), "TRAN") || strings.Contains(err.Error(), "ERIKSSON") {
			t.Errorf("%s: the error repeats what was read: %v", name, err)
		}
	}
}

func TestTransliterate(t *testing.T) {
	for in, want := range map[string]string{
		"Trần Thị Mẫu":            "TRAN<THI<MAU",
		"NGUYỄN ĐỨC ƯỚC":          "NGUYEN<DUC<UOC",
		"Nguye\u0302\u0303n Đình": "NGUYEN<DINH", // decomposed input
		"đặng  thùy\ttrâm ":       "DANG<THUY<TRAM",
		"Müller-Lüdenscheidt":     "MUELLER<LUEDENSCHEIDT",
		"Mu\u0308ller":            "MUELLER",
		"Groß":                    "GROSS",
		"D'Artagnan":              "DARTAGNAN",
		"Åse Ørsted":              "AASE<OERSTED",
		"Łukasz Żółw":             "LUKASZ<ZOLW",
		"Щукин":                   "SHCHUKIN",
		"TRAN<<THI<MAU<<<":        "TRAN<<THI<MAU",
		"李":                       "",
		"":                        "",
	} {
		if got := Transliterate(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// The Latin letters of ICAO 9303-3 section 6 (table 6.A) and every letter of
// Vietnamese, upper and lower case.
func TestTransliterateLetters(t *testing.T) {
	for want, letters := range map[string]string{
		"A": "ÀÁÂÃĀĂĄẢẠẰẮẲẴẶẦẤẨẪẬ", "AE": "ÄÆ", "AA": "Å", "C": "ÇĆĈĊČ", "D": "ÐĎĐ", "E": "ÈÉÊËĒĔĖĘĚẺẼẸỀẾỂỄỆƏ", "G": "ĜĞĠĢ", "H": "ĤĦ",
		"I": "ÌÍÎÏĨĪĬĮİỈỊ", "IJ": "Ĳ", "J": "Ĵ", "K": "Ķ", "L": "ĹĻĽĿŁ", "N": "ÑŃŅŇŊ", "O": "ÒÓÔÕŌŎŐỎỌỒỐỔỖỘƠỜỚỞỠỢ", "OE": "ÖØŒ", "R": "ŔŖŘ",
		"S": "ŚŜŞŠȘ", "SS": "ẞ", "T": "ŢŤŦȚ", "TH": "Þ", "U": "ÙÚÛŨŪŬŮŰŲỦỤƯỪỨỬỮỰ", "UE": "Ü", "W": "Ŵ", "Y": "ÝŶŸỲỶỸỴ", "Z": "ŹŻŽ",
	} {
		for _, r := range letters {
			for _, in := range []string{string(r), strings.ToLower(string(r)), norm.NFD.String(string(r))} {
				if got := Transliterate(in); got != want {
					t.Errorf("%s (%U): %q, want %q", in, []rune(in), got, want)
				}
			}
		}
	}
	for in, want := range map[string]string{"ß": "SS", "ı": "I", "ĸ": "Q", "A-B": "A<B", "A.B": "A<B", "A, B": "A<B", "O’B": "OB", "OʼB": "OB", "Ê-ñuôl": "E<NUOL", "\u00a0A": "A", "A1": "A1"} {
		if got := Transliterate(in); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

// FuzzTransliterate looks for a result that is no name of a zone or that
// changes when it is transliterated again.
func FuzzTransliterate(f *testing.F) {
	for _, s := range []string{"Trần Thị Mẫu", "Nguye\u0302\u0303n Đình", "O’Brien-Łódź", "Щукин", "A<<B", "\xff\u0300", "ŉ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Transliterate(s)
		if strings.Trim(got, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789<") != "" || strings.HasSuffix(got, "<") || Transliterate(got) != got {
			t.Errorf("%q: %q", s, got)
		}
		if len(got) > 8*len(s) {
			t.Errorf("%d bytes became %d", len(s), len(got))
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse(text)
		if err != nil {
			return
		}
		d.Valid()
		d.VietnamNumber()
		if len(d.Digits) < 4 || len(d.Info()) < 24 || Transliterate(d.NameField()) != d.NameField() && !strings.HasPrefix(d.NameField(), "<") {
			t.Errorf("%q: %+v", text, d)
		}
	})
}
