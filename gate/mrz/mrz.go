// Package mrz reads machine readable zones after ICAO Doc 9303 parts 3 to 6.
package mrz

// Document is one parsed machine readable zone.
type Document struct {
	Format      string // "TD1", "TD2", "TD3"
	Type        string // "ID", "P", without filler
	Issuer      string // three letters as printed, without filler
	NumberField string // the nine characters of the number field, without filler
	Number      string // the complete document number (TD1/TD2: continued in the optional data where it is longer than nine)
	Optional    string // optional data without trailing filler
	Surname     string // fillers as spaces
	Given       string
	Birth       string // YYMMDD as printed, may contain fillers
	Sex         string // "M", "F" or ""
	Expiry      string // YYMMDD as printed
	Nationality string
	Digits      []Digit
}

// Digit is one check digit with what it should have been.
type Digit struct {
	Field    string // "number", "birth", "expiry", "optional", "composite"
	Printed  byte
	Computed byte
}
