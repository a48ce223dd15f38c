package doc

import (
	"fmt"
	"slices"

	"gateagent/sim/chip"
)

// The results of an inspection by their first letter (BSI TR-03135 part 1).
const (
	successful, failed, undetermined, notSupported = 'S', 'F', 'U', 'N'
)

// oracle says what an inspection must report of a document. It knows how the
// document was made and follows the rules of the inspection report, not the
// program that judges.
type oracle struct {
	d     *Document
	f     *Profile
	byCAN bool
	sodOK bool // the security object is proven
	lost  bool // the session ended with a failed chip authentication
	want  map[string]byte
}

// Expected gives the result of every check of the inspection report on the
// document, read as far as the verdict needs it, opened by the CAN or else by
// the printed lines, under a trust folder that holds all countries and on a
// day in 2026. Of several PACE the first of the profile counts as the
// strongest.
func (d *Document) Expected(byCAN bool) map[string]byte {
	o := &oracle{d: d, f: &d.Profile, byCAN: byCAN, sodOK: !d.has(BreakSignature), want: map[string]byte{}}
	for _, id := range []string{
		"mrz.check_digits", "access.pace", "access.bac", "access.terminal_auth", "access",
		"chip.active_auth", "chip.chip_auth", "chip.pace_cam", "chip.card_security", "chip",
		"sod.hash", "sod.signature", "sod", "ds.signature", "ds.validity", "ds.revocation", "ds.trust", "ds",
		"integrity.com", "integrity", "issuer", "expiry", "mrz.dg1",
	} {
		o.want[id] = successful
	}
	for n := 1; n <= 16; n++ {
		o.want[dgID(n)] = notSupported
	}
	o.set(notSupported, "integrity.com")
	o.signers()
	o.access()
	o.proofs()
	o.content()
	o.integrity()
	return o.want
}

func (d *Document) has(a Alteration) bool { return d.Profile.Alter&a != 0 }

func dgID(n int) string { return fmt.Sprintf("integrity.dg%d", n) }

func (o *oracle) set(r byte, ids ...string) {
	for _, id := range ids {
		o.want[id] = r
	}
}

// signers: the security object and the certificate of who signed it.
func (o *oracle) signers() {
	d := o.d
	if !o.sodOK {
		o.set(failed, "sod.signature", "sod")
	}
	switch {
	case d.has(ForgeSigner):
		o.set(failed, "ds.signature", "ds")
	case d.has(UnknownIssuer):
		o.set(undetermined, "ds.signature", "ds.validity", "ds.revocation", "ds.trust", "ds")
	case d.has(RevokedSigner):
		o.set(failed, "ds.revocation", "ds")
	case d.has(ExpiredSigner):
		o.set(failed, "ds.validity", "ds")
	}
}

// access: the protocol that was used; which was not is not supported.
func (o *oracle) access() {
	used, other := "access.bac", "access.pace"
	if len(o.f.PACE) > 0 && !o.d.has(HidePACE) {
		used, other = other, used
	}
	o.set(successful, used)
	o.set(notSupported, other, "access.terminal_auth")
	if o.f.TerminalV1 {
		o.set(undetermined, "access.terminal_auth")
	}
	if o.byCAN {
		o.set(notSupported, "mrz.check_digits", "mrz.dg1")
	}
}

// downgrade: a proven file states a PACE that EF.CardAccess lacks.
func (o *oracle) downgrade() {
	if o.d.has(HidePACE) || o.d.has(HideStronger) {
		o.set(failed, "access.pace", "access")
	}
}

// listed says whether the security object lists a data group.
func (o *oracle) listed(n int) bool {
	_, ok := o.d.groups[n]
	return ok && !slices.Contains(o.f.Hidden, n)
}

// proofs in their order: mapping, chip authentication, active authentication;
// after a success no further one is asked for.
func (o *oracle) proofs() {
	o.set(notSupported, "chip.pace_cam", "chip.card_security", "chip.chip_auth", "chip.active_auth")
	if o.mapping() != successful && o.chipAuth() != successful && !o.lost {
		o.activeAuth()
	}
	o.set(notSupported, "chip")
	withheld := o.d.has(WithholdDG14) && o.want[dgID(14)] == failed || o.d.has(WithholdDG15) && o.want[dgID(15)] == failed
	for _, r := range []byte{failed, successful, undetermined} {
		all := []byte{o.want["chip.pace_cam"], o.want["chip.chip_auth"], o.want["chip.active_auth"]}
		if slices.Contains(all, r) || r == failed && withheld {
			o.set(r, "chip")
			return
		}
	}
}

// inUse is the PACE that a reader takes.
func (o *oracle) inUse() (PACE, bool) {
	switch all := o.f.PACE; {
	case len(all) == 0 || o.d.has(HidePACE):
		return PACE{}, false
	case o.d.has(HideStronger):
		return all[len(all)-1], true
	default:
		return all[0], true
	}
}

func (o *oracle) mapping() byte {
	p, ok := o.inUse()
	if !ok || p.Mapping != chip.ChipAuthMapping {
		return notSupported
	}
	file := byte(successful)
	switch {
	case o.d.has(AlterCardSecurity | ForeignCardSecurity | WithholdCardSecurity | ForgeSigner | RevokedSigner | ExpiredSigner):
		file = failed
	case o.d.has(UnknownIssuer):
		file = undetermined
	}
	proof := file
	if file == successful {
		o.downgrade()
		if o.d.has(Clone | NoMappingProof) {
			proof = failed
		}
	}
	o.set(file, "chip.card_security")
	o.set(proof, "chip.pace_cam")
	return proof
}

// promise reads the file that promises a proof; true when the proof may run.
func (o *oracle) promise(n int, id string, withheld, altered Alteration) bool {
	switch {
	case !o.listed(n):
		return false
	case o.d.has(withheld):
		o.set(failed, dgID(n), id)
		return false
	case o.d.has(altered):
		o.set(failed, dgID(n))
		o.set(undetermined, id)
		return false
	}
	o.set(successful, dgID(n))
	if !o.sodOK {
		o.set(undetermined, id)
	}
	return o.sodOK
}

func (o *oracle) chipAuth() byte {
	const id = "chip.chip_auth"
	if !o.promise(14, id, WithholdDG14, AlterDG14) {
		return o.want[id]
	}
	o.downgrade()
	switch {
	case len(o.f.ChipAuth) == 0:
	case o.d.has(CloneMute):
		o.set(failed, id)
	case o.d.has(Clone):
		o.set(failed, id)
		o.lost = true
	default:
		o.set(successful, id)
	}
	return o.want[id]
}

func (o *oracle) activeAuth() {
	const id = "chip.active_auth"
	if !o.promise(15, id, WithholdDG15, AlterDG15) {
		return
	}
	o.set(successful, id)
	if o.d.has(Clone | CloneMute) {
		o.set(failed, id)
	}
}

// content: what the data groups say.
func (o *oracle) content() {
	o.set(successful, dgID(1), dgID(2))
	if o.d.has(AlterDG2) {
		o.set(failed, dgID(2))
	}
	if o.d.has(AlterDG1) {
		o.set(failed, dgID(1))
	}
	match := []string{"mrz.dg1"}
	if o.byCAN {
		match = nil
	}
	switch {
	case o.lost:
		o.set(notSupported, append(match, dgID(1), dgID(2))...)
		o.set(undetermined, "issuer", "expiry")
	case o.d.has(AlterDG1) || !o.sodOK:
		o.set(undetermined, append(match, "issuer", "expiry")...)
	case o.d.has(ForeignSigner):
		o.set(failed, "issuer")
	}
	if o.want["expiry"] == successful && !o.f.Unlimited && o.f.Expires.Year() < 2026 {
		o.set(failed, "expiry")
	}
}

// integrity: any failed data group; else DG1, DG2 and what the proofs used
// must be successful.
func (o *oracle) integrity() {
	result := byte(successful)
	for n := 1; n <= 16; n++ {
		switch r := o.want[dgID(n)]; {
		case r == failed:
			o.set(failed, "integrity")
			return
		case n <= 2 && r != successful:
			result = undetermined
		}
	}
	o.set(result, "integrity")
}

// Forgeries lists the alterations that make sense for the document, the
// genuine one (0) first.
func (d *Document) Forgeries(byCAN bool) []Alteration {
	f := &d.Profile
	out := []Alteration{0, AlterDG1, AlterDG2, BreakSignature, ForgeSigner, UnknownIssuer, RevokedSigner, ExpiredSigner, ForeignSigner}
	add := func(when bool, a ...Alteration) {
		if when {
			out = append(out, a...)
		}
	}
	_, dg14 := d.groups[14]
	active := f.ActiveAuth != Algorithm{}
	cam := slices.ContainsFunc(f.PACE, func(p PACE) bool { return p.Mapping == chip.ChipAuthMapping })
	add(dg14, WithholdDG14, AlterDG14)
	add(active, WithholdDG15, AlterDG15)
	add(active || cam || len(f.ChipAuth) > 0, Clone)
	add(active || len(f.ChipAuth) > 0, CloneMute)
	add(cam, AlterCardSecurity, ForeignCardSecurity, WithholdCardSecurity, NoMappingProof)
	add(len(f.PACE) > 0 && !byCAN, HidePACE)
	add(len(f.PACE) > 1, HideStronger)
	return out
}

// String names the alterations.
func (a Alteration) String() string {
	names := []string{
		"DG1 altered", "DG2 altered", "signature broken", "signer forged", "issuer unknown", "cloned", "cloned and mute", "PACE hidden",
		"DG14 withheld", "DG15 withheld", "signer revoked", "signer expired", "signer foreign", "DG14 altered", "DG15 altered",
		"EF.CardSecurity altered", "EF.CardSecurity foreign", "EF.CardSecurity withheld", "stronger PACE hidden", "mapping not proven",
	}
	out := ""
	for i, n := range names {
		if a&(1<<i) != 0 {
			out += ", " + n
		}
	}
	if out == "" {
		return "genuine"
	}
	return out[2:]
}
