package gate

import "fmt"

// Code is a stable number that says why: 0 means there is nothing to say.
// Ours lie in 1000..999999 and are listed in docs/codes.md.
type Code uint32

// CodeInfo describes one code for the documentation and the staff page.
type CodeInfo struct {
	Code   Code
	Name   string // stable, lower_snake_case
	Text   string // what happened, for staff
	Remedy string // what to do about it
}

// Codes lists every code, sorted by number within its room.
func Codes() []CodeInfo {
	var all []CodeInfo
	for _, room := range [][]CodeInfo{accessCodes, documentCodes, listCodes, faceCodes, decisionCodes} {
		all = append(all, room...)
	}
	return all
}

// RetiredCodes lists the numbers that were given once and that nothing says
// any more. They are never given again: an old record must not change its
// meaning.
func RetiredCodes() []CodeInfo {
	return []CodeInfo{
		{2016, "list_wrong_flight", "never said: a list sends travellers to gates, its flights are for staff", "see list_wrong_gate"},
		{6034, "transaction_deadline", "never said: the step that was running when the time ended says deadline", "see deadline"},
		{6044, "lane_closed", "never said: a lane is in order or out of order", ""},
		{6045, "internal", "never said: each fault has a code of its own", ""},
	}
}

// Info finds the description of a code.
func (c Code) Info() CodeInfo {
	for _, i := range append(Codes(), RetiredCodes()...) {
		if i.Code == c {
			return i
		}
	}
	return CodeInfo{Code: c, Name: fmt.Sprintf("code_%d", uint32(c)), Text: "unlisted code"}
}
