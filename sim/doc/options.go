package doc

import (
	"slices"
	"time"

	"gateagent/sim/chip"
)

// Option changes a profile.
type Option func(*Profile)

// With adds alterations.
func With(a Alteration) Option { return func(f *Profile) { f.Alter |= a } }

// Expired has the document end well before today, on the first of June 2024.
func Expired() Option {
	return func(f *Profile) {
		f.Unlimited = false
		f.Issued = time.Date(2014, 6, 1, 0, 0, 0, 0, time.UTC)
		f.Expires = time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC)
	}
}

// Expiring sets the last day of validity.
func Expiring(t time.Time) Option {
	return func(f *Profile) { f.Unlimited, f.Expires = false, t }
}

// Portrait puts a real picture (JPEG) of the given dimensions into DG2.
func Portrait(jpeg []byte, width, height int) Option {
	return func(f *Profile) { f.Image.Bytes, f.Image.Width, f.Image.Height = jpeg, width, height }
}

// Face says by which standard DG2 is written and how the drawn portrait is
// compressed.
func Face(form FaceForm, c Codec) Option {
	return func(f *Profile) { f.Image.Form, f.Codec = form, c }
}

// Faces puts n portraits into DG2, each in a template or all in one record.
func Faces(n int, inRecord bool) Option {
	return func(f *Profile) { f.Image.Faces, f.Image.InRecord = n, inRecord }
}

// Groups adds data groups (5 to 13 and 16).
func Groups(n ...int) Option {
	return func(f *Profile) {
		for _, g := range n {
			if !slices.Contains(f.Groups, g) {
				f.Groups = append(f.Groups, g)
			}
		}
	}
}

// FullDetails fills DG11 and DG12 with all that they can hold.
func FullDetails() Option { return func(f *Profile) { f.FullDetails = true } }

// SODWith says how EF.SOD is written and signed.
func SODWith(so SecurityObject) Option { return func(f *Profile) { f.SOD = so } }

// PortraitSize draws a portrait of exactly n bytes.
func PortraitSize(n int) Option { return func(f *Profile) { f.PortraitBytes = n } }

// Numbered sets the document number (for Vietnam's card the twelve digits).
func Numbered(number string) Option {
	return func(f *Profile) {
		if f.CitizenNumber != "" {
			f.citizen(number)
			return
		}
		f.Number = number
	}
}

// OnlyBAC makes a first-generation chip: BAC and nothing else.
func OnlyBAC() Option {
	return func(f *Profile) { f.PACE, f.BAC, f.ChipAuth, f.ActiveAuth = nil, true, nil, Algorithm{} }
}

// PACEWith opens the chip by this PACE alone.
func PACEWith(c chip.Cipher, curve string) Option {
	return func(f *Profile) { f.PACE, f.BAC = []PACE{{Cipher: c, Curve: curve}}, false }
}

// PACEOffers opens the chip by any of these and by nothing else. A chip
// authentication mapping brings an EF.CardSecurity with it.
func PACEOffers(all ...PACE) Option {
	return func(f *Profile) { f.PACE, f.BAC = all, false }
}

// ChipAuthWith offers this chip authentication alone.
func ChipAuthWith(keys ...ChipAuth) Option { return func(f *Profile) { f.ChipAuth = keys } }

// ActiveAuthWith offers active authentication with this algorithm.
func ActiveAuthWith(a Algorithm) Option { return func(f *Profile) { f.ActiveAuth = a } }

// ActiveForm says how the answer of active authentication is written.
func ActiveForm(a chip.ActiveForm) Option { return func(f *Profile) { f.ActiveForm = a } }

// WithQuirks sets the habits of the chip.
func WithQuirks(q chip.Quirks) Option { return func(f *Profile) { f.Quirks = q } }
