package config

// QuotedText is the error of a value in quotation marks.
const QuotedText = quotedText
