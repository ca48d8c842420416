package evaluation

// What the external tests of this package look at.
var (
	AppendVerbatim    = appendVerbatim
	IsUUID            = isUUID
	AppendBedrockName = appendBedrockName
	BedrockName       = bedrockName
	AppendOrigin      = appendOrigin
)
