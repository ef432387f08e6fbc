//! stock_tools
