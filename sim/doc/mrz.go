package doc

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
)

// checkDigit is the weighted sum of ICAO 9303-3 section 4.9.
func checkDigit(s string) string {
	sum := 0
	for i, c := range []byte(s) {
		v := 0
		switch {
		case c >= '0' && c <= '9':
			v = int(c - '0')
		case c >= 'A' && c <= 'Z':
			v = int(c-'A') + 10
		}
		sum += v * [...]int{7, 3, 1}[i%3]
	}
	return string(rune('0' + sum%10))
}

// letters that do not decompose into a base letter and marks (ICAO 9303-3
// section 6, table of recommended transliterations), and those that the
// table spells with two.
func special(r rune) (string, bool) {
	switch r {
	case 'Đ', 'Ð':
		return "D", true
	case 'Ø':
		return "OE", true
	case 'Æ', 'Ä':
		return "AE", true
	case 'Ö':
		return "OE", true
	case 'Ü':
		return "UE", true
	case 'Å':
		return "AA", true
	case 'Þ':
		return "TH", true
	case 'Ł':
		return "L", true
	case 'ẞ', 'ß':
		return "SS", true
	case '\'', '’', '.':
		return "", true
	}
	return "", false
}

// machineName writes a name in MRZ letters: transliterated, marks folded,
// words parted by one filler.
func machineName(s string) string {
	var b strings.Builder
	for _, r := range norm.NFC.String(strings.ToUpper(s)) {
		if t, ok := special(r); ok {
			b.WriteString(t)
			continue
		}
		base := []rune(norm.NFD.String(string(r)))[0]
		if base >= 'A' && base <= 'Z' {
			b.WriteRune(base)
		} else {
			b.WriteByte(' ')
		}
	}
	return strings.Join(strings.Fields(b.String()), "<")
}

// fill pads with fillers, or cuts, to n characters.
func fill(s string, n int) string {
	if len(s) >= n {
		return s[:n]
	}
	return s + strings.Repeat("<", n-len(s))
}

func nameField(p Person) string {
	name := machineName(p.Surname)
	if g := machineName(p.Given); g != "" {
		name += "<<" + g
	}
	return name
}

func yymmdd(t time.Time) string { return t.Format("060102") }

func sexField(s string) string {
	if s == "" {
		return "<"
	}
	return s
}

// mrzLines builds the machine readable zone: TD1 after ICAO 9303-5 section
// 4.2.2, TD3 after ICAO 9303-4 section 4.2.2.
func mrzLines(p Person, f *Profile) ([]string, error) {
	birth, expiry := yymmdd(p.Birth), yymmdd(f.Expires)
	if f.Unlimited {
		expiry = "991231"
	}
	nat := fill(p.Nationality, 3)
	switch f.Format {
	case "TD1":
		number, optional := fill(f.Number, 9)+checkDigit(fill(f.Number, 9)), f.Optional
		if len(f.Number) > 9 {
			// A longer number runs on into the optional data, its check
			// digit behind it (ICAO 9303-5 section 4.2.4).
			number, optional = f.Number[:9]+"<", f.Number[9:]+checkDigit(f.Number)+"<"+f.Optional
		}
		one := fill(f.Type, 2) + fill(f.State, 3) + number + fill(optional, 15)
		two := birth + checkDigit(birth) + sexField(p.Sex) + expiry + checkDigit(expiry) + nat + fill("", 11)
		two += checkDigit(one[5:30] + two[:7] + two[8:15] + two[18:29])
		return []string{one, two, fill(nameField(p), 30)}, nil
	case "TD3":
		if len(f.Number) > 9 {
			return nil, fmt.Errorf("sim/doc: a passport number of %d characters does not fit", len(f.Number))
		}
		one := fill(f.Type, 2) + fill(f.State, 3) + fill(nameField(p), 39)
		number, optional := fill(f.Number, 9), fill(f.Optional, 14)
		digit := checkDigit(optional)
		if f.Optional == "" {
			digit = "<"
		}
		two := number + checkDigit(number) + nat + birth + checkDigit(birth) + sexField(p.Sex) + expiry + checkDigit(expiry) + optional + digit
		two += checkDigit(two[:10] + two[13:20] + two[21:43])
		return []string{one, two}, nil
	}
	return nil, fmt.Errorf("sim/doc: MRZ format %q is not TD1 or TD3", f.Format)
}

// mrzInfo is what opens the chip: number, birth and expiry, each with its
// check digit (ICAO 9303-11 section 4.3.2).
func mrzInfo(f *Profile, lines []string) []byte {
	number := f.Number
	if len(number) < 9 {
		number = fill(number, 9)
	}
	dates := lines[1]
	info := number + checkDigit(number)
	if f.Format == "TD3" {
		return []byte(info + dates[13:20] + dates[21:28])
	}
	return []byte(info + dates[0:7] + dates[8:15])
}
