package gate

import "slices"

// MandatoryChecks are the mandatory checks of the default gate profile
// (TR-03135 part 1, profile concept): each must be successful.
func MandatoryChecks() []CheckID {
	return []CheckID{
		CheckAccess, CheckChip, CheckSOD, CheckDSSignature, CheckDSValidity,
		CheckDSTrust, CheckIntegrity, CheckIssuer, CheckExpiry,
	}
}

// OptionalChecks are the optional checks of the default gate profile: they
// count only when they failed.
func OptionalChecks() []CheckID {
	return []CheckID{
		CheckMRZDigits, CheckMRZDG1, CheckIntegrityCOM, CheckDSRevocation, CheckTerminalAuth,
	}
}

// Profile says which checks count. The zero Profile has no mandatory check
// and therefore never reports anything but undetermined or worse.
type Profile struct {
	mandatory, optional []CheckID
	requireCRL          []string // issuing states for which ds.revocation is mandatory
	cloneUnproven       []string // issuing states whose documents may pass without any chip proof
}

// DefaultProfile is the default gate profile. For the issuing states in
// requireCRL (three letters) ds.revocation is mandatory; "*" means all.
func DefaultProfile(requireCRL ...string) Profile {
	return Profile{mandatory: MandatoryChecks(), optional: OptionalChecks(), requireCRL: requireCRL}
}

// AllowCloneUnproven gives a profile under which documents of these issuing
// states (three letters) may pass though they offer no proof that their chip
// is no copy, on the conditions that Decide states. It changes no result and
// no roll-up.
func (p Profile) AllowCloneUnproven(issuers ...string) Profile {
	p.cloneUnproven = slices.Clone(issuers)
	return p
}

// CloneUnproven says whether the missing chip proof alone keeps a report from
// being successful, and the profile names its issuer: chip is not supported
// because the proven files offer none of the three proofs, and everything else
// that counts is as a successful report has it.
func (p Profile) CloneUnproven(r *Report, issuer string) bool {
	if issuer == "" || !slices.Contains(p.cloneUnproven, issuer) {
		return false
	}
	for _, id := range [...]CheckID{CheckChip, CheckChipAuth, CheckActiveAuth, CheckPACECAM} {
		if c, ok := r.Get(id); !ok || c.Result != NotSupported || c.Code != CodeProofNotOffered {
			return false
		}
	}
	rest := p
	rest.mandatory = slices.DeleteFunc(slices.Clone(p.mandatory), func(id CheckID) bool { return id == CheckChip })
	return rest.Overall(r, issuer) == Successful
}

// mandatoryFor lists the mandatory checks for documents of one issuer. With
// an unknown issuer a configured CRL demand counts for everybody.
func (p Profile) mandatoryFor(issuer string) []CheckID {
	if len(p.requireCRL) == 0 {
		return p.mandatory
	}
	if issuer != "" && !slices.Contains(p.requireCRL, issuer) && !slices.Contains(p.requireCRL, "*") {
		return p.mandatory
	}
	return append(slices.Clone(p.mandatory), CheckDSRevocation)
}

// Overall rolls a report up: F if any mandatory or optional check is F; else
// A if any mandatory one is A; else U if any mandatory one is U or N; else S.
// A check that is absent from the report is undetermined.
func (p Profile) Overall(r *Report, issuer string) Result {
	if len(p.mandatory) == 0 {
		return Undetermined
	}
	for _, id := range p.optional {
		if r.Result(id) == Failed {
			return Failed
		}
	}
	aborted, open := false, false
	for _, id := range p.mandatoryFor(issuer) {
		switch r.Result(id) {
		case Successful:
		case Failed:
			return Failed
		case Aborted:
			aborted = true
		default:
			open = true
		}
	}
	switch {
	case aborted:
		return Aborted
	case open:
		return Undetermined
	}
	return Successful
}

// Counts says whether a check, with the result it has, keeps the overall
// result from being successful.
func (p Profile) Counts(c Check, issuer string) bool {
	if slices.Contains(p.mandatoryFor(issuer), c.ID) {
		return c.Result != Successful
	}
	return slices.Contains(p.optional, c.ID) && c.Result == Failed
}

// Report collects checks by name.
type Report struct {
	checks map[CheckID]Check
}

// Set stores checks; a later one replaces an earlier one of the same name.
func (r *Report) Set(checks ...Check) {
	if r.checks == nil {
		r.checks = make(map[CheckID]Check, 40)
	}
	for _, c := range checks {
		r.checks[c.ID] = c
	}
}

// Get finds a check.
func (r *Report) Get(id CheckID) (Check, bool) {
	c, ok := r.checks[id]
	return c, ok
}

// Result is the result of one check; Undetermined when it is absent.
func (r *Report) Result(id CheckID) Result { return r.checks[id].Result }

// Checks lists the stored checks in report order.
func (r *Report) Checks() []Check {
	out := make([]Check, 0, len(r.checks))
	for _, id := range CheckIDs() {
		if c, ok := r.checks[id]; ok {
			out = append(out, c)
		}
	}
	return out
}

// Failing lists the checks that keep the overall result from being
// successful, failed ones first, groups after the details that explain them.
func (r *Report) Failing(p Profile, issuer string) []Check {
	var out []Check
	for _, want := range [...]Result{Failed, Aborted, Undetermined, NotSupported} {
		var groups []Check
		for _, c := range r.Checks() {
			counts := p.Counts(c, issuer)
			switch {
			case c.Result != want:
			case counts && isGroup(c.ID):
				groups = append(groups, c)
			case counts || (want == Failed || want == Aborted) && inCountingGroup(r, p, c, issuer):
				out = append(out, c)
			case want == Undetermined && inCountingGroup(r, p, c, issuer):
				out = append(out, c)
			}
		}
		out = append(out, groups...)
	}
	return out
}

var groupOf = func() map[CheckID]CheckID {
	m := map[CheckID]CheckID{
		CheckPACE: CheckAccess, CheckBAC: CheckAccess,
		CheckActiveAuth: CheckChip, CheckChipAuth: CheckChip, CheckPACECAM: CheckChip,
		CheckSODHash: CheckSOD, CheckSODSignature: CheckSOD,
	}
	for n := 1; n <= 16; n++ {
		m[CheckDG(n)] = CheckIntegrity
	}
	return m
}()

func isGroup(id CheckID) bool {
	return id == CheckAccess || id == CheckChip || id == CheckSOD || id == CheckIntegrity
}

// inCountingGroup says whether a detail explains a group that counts now.
func inCountingGroup(r *Report, p Profile, c Check, issuer string) bool {
	g, ok := r.Get(groupOf[c.ID])
	return ok && p.Counts(g, issuer) && g.Result == c.Result
}
