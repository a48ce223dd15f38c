package mrz

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// special holds the letters of ICAO 9303-3 section 6 whose recommended
// transliteration is more than the base letter without its marks. Where the
// table leaves a choice, the first one is taken. Vietnamese has none of these
// but Đ, and its stacked marks fall away by decomposition.
var special = map[rune]string{
	'Ä': "AE", 'Å': "AA", 'Æ': "AE", 'Ö': "OE", 'Ø': "OE", 'Œ': "OE", 'Ü': "UE",
	'ß': "SS", 'ẞ': "SS", 'Þ': "TH", 'Ĳ': "IJ",
	'Đ': "D", 'Ð': "D", 'Ɖ': "D", 'Ħ': "H", 'ı': "I", 'Ŀ': "L", 'Ł': "L", 'Ŋ': "N", 'Ŧ': "T", 'ĸ': "Q", 'Ə': "E",

	'А': "A", 'Б': "B", 'В': "V", 'Г': "G", 'Д': "D", 'Е': "E", 'Ё': "E", 'Ж': "ZH",
	'З': "Z", 'И': "I", 'І': "I", 'Й': "I", 'К': "K", 'Л': "L", 'М': "M", 'Н': "N",
	'О': "O", 'П': "P", 'Р': "R", 'С': "S", 'Т': "T", 'У': "U", 'Ф': "F", 'Х': "KH",
	'Ц': "TS", 'Ч': "CH", 'Ш': "SH", 'Щ': "SHCH", 'Ы': "Y", 'Ъ': "IE", 'Ь': "", 'Э': "E",
	'Ю': "IU", 'Я': "IA", 'Ґ': "G", 'Ў': "U", 'Ѓ': "G", 'Ђ': "D", 'Ѕ': "DZ", 'Ј': "J",
	'Ќ': "K", 'Љ': "LJ", 'Њ': "NJ", 'Ћ': "C", 'Џ': "DZ", 'Є': "IE", 'Ї': "I",

	// ICAO 9303-3 section 4.6: apostrophes are left out.
	'\'': "", '’': "", 'ʼ': "",
}

// Transliterate writes a name in the characters of a machine readable zone
// (ICAO 9303-3 section 6): upper case, marks folded (Vietnamese ones
// included, Đ to D), apostrophes left out, every run of anything else one
// filler. Fillers that are already there stay; none stands at the end.
func Transliterate(s string) string {
	var b strings.Builder
	gap := func() {
		if t := b.String(); t != "" && t[len(t)-1] != '<' {
			b.WriteByte('<')
		}
	}
	for _, r := range norm.NFC.String(strings.ToUpper(norm.NFC.String(s))) {
		if t, ok := special[r]; ok {
			b.WriteString(t)
			continue
		}
		if r == '<' {
			b.WriteByte('<')
			continue
		}
		for _, p := range norm.NFD.String(string(r)) {
			switch {
			case p >= 'A' && p <= 'Z' || p >= '0' && p <= '9':
				b.WriteRune(p)
			case unicode.Is(unicode.Mn, p):
			default:
				gap()
			}
		}
	}
	return trim(b.String())
}
