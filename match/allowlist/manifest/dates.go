package manifest

import (
	"strconv"
	"strings"
	"time"
)

var months = []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}

// date makes a day if the calendar has it.
func date(year, month, day int) (time.Time, bool) {
	t := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	return t, year >= 1900 && t.Day() == day && int(t.Month()) == month
}

// century says what two digits of a year mean.
type century int

const (
	past   century = iota // births: the last such day that is not in the future
	future                // expiries: this century
)

// year completes the digits of a year.
func (c century) year(digits string, month, day int, now time.Time) int {
	y, err := strconv.Atoi(digits)
	if err != nil || len(digits) == 4 {
		return y
	}
	if y += 2000; c == past {
		if t, ok := date(y, month, day); !ok || t.After(now) {
			y -= 100
		}
	}
	return y
}

// telegramDate reads 15AUG80 or 15AUG1980.
func telegramDate(s string, c century, now time.Time) (time.Time, bool) {
	if len(s) != 7 && len(s) != 9 {
		return time.Time{}, false
	}
	day, month, ok := dayMonth(s[:5])
	if !ok || !digits(s[5:]) {
		return time.Time{}, false
	}
	return inTime(c, now, c.year(s[5:], month, day, now), month, day)
}

// inTime makes the day; births are not in the future.
func inTime(c century, now time.Time, year, month, day int) (time.Time, bool) {
	t, ok := date(year, month, day)
	if c == past && t.After(now) {
		return t, false
	}
	return t, ok
}

// dayMonth reads 15AUG.
func dayMonth(s string) (day, month int, ok bool) {
	if len(s) != 5 || !digits(s[:2]) {
		return 0, 0, false
	}
	day, _ = strconv.Atoi(s[:2])
	for i, m := range months {
		if s[2:] == m {
			return day, i + 1, true
		}
	}
	return 0, 0, false
}

// flightDay finds the year of a flight's day: the one nearest to now.
func flightDay(day, month int, now time.Time) (time.Time, bool) {
	var best time.Time
	found := false
	for y := now.Year() - 1; y <= now.Year()+1; y++ {
		t, ok := date(y, month, day)
		if ok && (!found || t.Sub(now).Abs() < best.Sub(now).Abs()) {
			best, found = t, true
		}
	}
	return best, found
}

// messageTime reads the value of a DTM (data elements 2380 and 2379): format 101
// YYMMDD, 102 CCYYMMDD, 201 YYMMDDHHMM, 203 CCYYMMDDHHMM; without a format the
// length tells. clock says whether a time of day was there.
func messageTime(value, format string, c century, now time.Time) (t time.Time, clock, ok bool) {
	lengths := map[string]int{"101": 6, "102": 8, "201": 10, "203": 12}
	if want, known := lengths[format]; format != "" && (!known || len(value) != want) || !digits(value) {
		return t, false, false
	}
	yearDigits := 2
	switch len(value) {
	case 8, 12:
		yearDigits = 4
	case 6, 10:
	default:
		return t, false, false
	}
	year, rest := value[:yearDigits], value[yearDigits:]
	month, _ := strconv.Atoi(rest[:2])
	day, _ := strconv.Atoi(rest[2:4])
	if t, ok = inTime(c, now, c.year(year, month, day, now), month, day); !ok || len(rest) == 4 {
		return t, false, ok
	}
	hour, _ := strconv.Atoi(rest[4:6])
	minute, _ := strconv.Atoi(rest[6:8])
	return t.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute), true, hour < 24 && minute < 60
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
