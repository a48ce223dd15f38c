package gate

// Codes of the allowlist (2000..2999).
const (
	CodeListAbsent    Code = 2001
	CodeListExpired   Code = 2002
	CodeListDamaged   Code = 2003
	CodeListNotFound  Code = 2010
	CodeListRefer     Code = 2011
	CodeListRefuse    Code = 2012
	CodeListTooEarly  Code = 2013
	CodeListTooLate   Code = 2014
	CodeListWrongGate Code = 2015
	CodeListNoNumber  Code = 2017
	CodeListIssueTime Code = 2018
	CodeListNotAsked  Code = 2019
	CodeListRevoked   Code = 2020
	CodeListStale     Code = 2021
)

var listCodes = []CodeInfo{
	{CodeListAbsent, "list_absent", "no allowlist is in force", "push or import a list"},
	{CodeListExpired, "list_expired", "the allowlist has expired", "push a current list"},
	{CodeListDamaged, "list_damaged", "a page of the allowlist does not fit its signed root", "push the list again; look at the disk"},
	{CodeListNotFound, "list_not_found", "the document is not on the allowlist", "check the booking by hand"},
	{CodeListRefer, "list_refer", "the allowlist asks that staff see this traveller", "see the instructions for this flight"},
	{CodeListRefuse, "list_refuse", "the allowlist entry admits nobody", "see staff instructions"},
	{CodeListTooEarly, "list_too_early", "the traveller's window has not begun", "ask the traveller to come back later"},
	{CodeListTooLate, "list_too_late", "the traveller's window is over", "the flight may be closed; help the traveller"},
	{CodeListWrongGate, "list_wrong_gate", "the traveller belongs to another gate", "show the way"},
	{CodeListNoNumber, "list_no_number", "no complete document number could be formed", "check by hand"},
	{CodeListIssueTime, "list_issue_time", "the allowlist is not valid yet by the kiosk's clock", "look at the kiosk's clock"},
	{CodeListNotAsked, "list_not_asked", "the allowlist was not asked", "see the failing step"},
	{CodeListRevoked, "list_revoked", "central has taken the document off the allowlist", "see staff instructions"},
	{CodeListStale, "list_stale", "what central pushed is older than the policy allows", "bring the kiosk's network back, or import a stick (gatectl update import)"},
}
