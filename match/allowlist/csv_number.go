package allowlist

import (
	"strings"

	"gateagent/gate/mrz"
)

// numberField is the length of the number field in every machine readable zone
// (ICAO 9303-4, 9303-5 and 9303-6, section 4.2.2).
const numberField = 9

// PlainNumber takes a number that may be written as in a machine readable zone
// and gives it without fillers. Where a check digit stands behind them it must
// be right: behind the nine characters of the number field (ICAO 9303-3 section
// 4.9), and behind the twelve digits and two fillers of a Vietnamese identity
// card's optional data. A number without fillers is given as it is: whether its
// last digit is a check digit cannot be told.
func PlainNumber(s string) (string, error) {
	if !strings.Contains(s, "<") {
		return s, nil
	}
	s = strings.ToUpper(strings.ReplaceAll(s, " ", ""))
	if field, digit, ok := splitDigit(s); ok {
		if want, err := mrz.CheckDigit(field); err != nil || want != digit {
			return "", fieldError("number", "has a wrong check digit")
		}
		s = field
	}
	if s = strings.TrimRight(s, "<"); strings.Contains(s, "<") {
		return "", fieldError("number", "has fillers in the middle")
	}
	return s, nil
}

// splitDigit parts a check digit from the characters that it is over.
func splitDigit(s string) (field string, digit byte, ok bool) {
	last := len(s) - 1
	if !isDigit(s[last]) {
		return "", 0, false
	}
	switch number, filled := strings.CutSuffix(s[:last], "<<"); {
	case len(s) == numberField+1:
		return s[:last], s[last], true
	case filled && len(number) == vietnamNumber && only(number, isDigit):
		return number, s[last], true
	}
	return "", 0, false
}

// vietnamNumber is the length of a Vietnamese citizen number.
const vietnamNumber = 12
