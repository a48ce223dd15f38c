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

// Info finds the description of a code.
func (c Code) Info() CodeInfo {
	for _, i := range Codes() {
		if i.Code == c {
			return i
		}
	}
	return CodeInfo{Code: c, Name: fmt.Sprintf("code_%d", uint32(c)), Text: "unlisted code"}
}
