package evaluation

// Internals for the external tests of this package.
var (
	AppendVerbatim    = appendVerbatim
	IsUUID            = isUUID
	AppendBedrockName = appendBedrockName
	BedrockName       = bedrockName
	AppendOrigin      = appendOrigin
)
