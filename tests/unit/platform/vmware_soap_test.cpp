// SOAP: what is written is what a server takes, what is read is what it said, whatever its
// prefixes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hamal/platform/vmware/vim_reply.hpp"
#include "hamal/platform/vmware/vim_request.hpp"

namespace hamal::vmware {
namespace {

using ::testing::HasSubstr;

std::string envelope(const std::string& body) {
  return "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" "
         "xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\"><s:Body>" +
         body + "</s:Body></s:Envelope>";
}

std::string fault(const std::string& detail) {
  return envelope(
      "<s:Fault><faultcode>ServerFaultCode</faultcode><faultstring>its words"
      "</faultstring><detail>" +
      detail + "</detail></s:Fault>");
}

VimFault fault_in(const std::string& body) {
  try {
    parse_vim_reply(body, "Method of vm-1");
  } catch (const VimFault& error) {
    return error;
  }
  throw std::runtime_error("no fault");
}

// Break it: leave "&" out of append_escaped().
TEST(VimRequest, ValuesAreEscapedAndElementsNested) {
  VimRequest request("CreateSnapshot_Task", {"VirtualMachine", "vm-1"});
  request.text("name", "a & <b> \"c\"").flag("memory", false);
  request.begin("spec", "Some").number("size", std::int64_t{3} << 41).end();
  EXPECT_THAT(
      request.envelope(),
      HasSubstr("<soapenv:Body><CreateSnapshot_Task xmlns=\"urn:vim25\"><_this "
                "type=\"VirtualMachine\">vm-1</_this><name>a &amp; &lt;b&gt; &quot;c&quot;</name>"
                "<memory>false</memory><spec xsi:type=\"Some\"><size>6597069766656</size></spec>"
                "</CreateSnapshot_Task></soapenv:Body>"));
  EXPECT_EQ(request.call(), "CreateSnapshot_Task of vm-1");
}

TEST(VimRequest, WhatXmlCannotCarryIsRefusedWithoutShowingIt) {
  VimRequest request("Login", {"SessionManager", "SessionManager"});
  try {
    request.text("password", "hidden\x01word");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_THAT(error.what(), ::testing::Not(HasSubstr("hidden")));
  }
}

TEST(VimReply, ResultsAreFreedOfPrefixes) {
  const XmlElement reply = parse_vim_reply(
      envelope("<v:MethodResponse xmlns:v=\"urn:vim25\"><v:returnval i:type=\"v:Kind\">\n <v:obj "
               "type=\"VirtualMachine\">vm-1</v:obj><v:on>true</v:on><v:size>3298534883328</v:size>"
               "\n</v:returnval></v:MethodResponse>"),
      "Method of vm-1");
  EXPECT_EQ(reply.name, "MethodResponse");
  EXPECT_EQ(reply.space, "urn:vim25");
  const XmlElement* const value = reply.find("returnval");
  ASSERT_NE(value, nullptr);
  EXPECT_EQ(value->type, "Kind");
  EXPECT_EQ(value->text, "");
  EXPECT_EQ(value->find("obj")->reference(), (ManagedObject{"VirtualMachine", "vm-1"}));
  EXPECT_EQ(value->flag("on"), true);
  EXPECT_EQ(value->number("size"), 3298534883328);
  EXPECT_EQ(value->number("absent"), std::nullopt);
  EXPECT_EQ(reply.at({"returnval", "nothing", "on"}), nullptr);
  EXPECT_THROW(static_cast<void>(value->number("on")), Error);
  EXPECT_THROW(static_cast<void>(value->flag("size")), Error);
}

// The stock simulator binds another prefix, which no real server does: the namespace counts.
TEST(VimReply, TheTypeIsThatOfTheNamespace) {
  const XmlElement reply = parse_vim_reply(
      envelope("<R xmlns=\"urn:vim25\"><v xmlns:XMLSchema-instance=\"http://www.w3.org/2001/"
               "XMLSchema-instance\" XMLSchema-instance:type=\"Kind\" type=\"Other\">1</v></R>"),
      "call");
  EXPECT_EQ(reply.find("v")->type, "Kind");
  EXPECT_EQ(reply.find("v")->object_type, "Other");
}

TEST(VimReply, FaultsAreTypedAndHaveACure) {
  const VimFault denied = fault_in(fault(
      "<NoPermissionFault i:type=\"NoPermission\"><object type=\"VirtualMachine\">vm-1</object>"
      "<privilegeId>VirtualMachine.State.CreateSnapshot</privilegeId></NoPermissionFault>"));
  EXPECT_EQ(denied.fault(), "NoPermission");
  EXPECT_THAT(denied.what(), HasSubstr("its words"));
  EXPECT_THAT(denied.what(), HasSubstr("Method of vm-1"));
  EXPECT_THAT(denied.hint(), HasSubstr("VirtualMachine.State.CreateSnapshot"));
  EXPECT_FALSE(denied.transient());
  EXPECT_EQ(fault_in(fault("<FileFaultFault/>")).fault(), "FileFault");
  EXPECT_TRUE(fault_in(fault("<TaskInProgressFault i:type=\"TaskInProgress\"/>")).transient());
  EXPECT_EQ(fault_in(fault("")).fault(), "ServerFaultCode");
}

// A page of a large inventory is far from it. Break it: do not count.
TEST(VimReply, ElementsAreCountedAsTheyCome) {
  std::string many;
  for (int i = 0; i < 1'000'100; ++i) {
    many += "<a/>";
  }
  try {
    parse_vim_reply(envelope("<R>" + many + "</R>"), "call");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("too many elements"));
  }
}

// Refused where it begins, or by libxml2, before much of it is expanded. Break it: leave the case
// of the document type out.
TEST(VimReply, NoEntityIsExpanded) {
  std::string bomb = "<?xml version=\"1.0\"?><!DOCTYPE s [<!ENTITY a0 \"haha\">";
  for (int i = 1; i < 30; ++i) {
    const std::string one = "&a" + std::to_string(i - 1) + ";";
    bomb += "<!ENTITY a" + std::to_string(i) + " \"" + one + one + one + one + "\">";
  }
  bomb += "]>" + envelope("<R>&a29;</R>").substr(21);
  try {
    parse_vim_reply(bomb, "call");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("not vSphere's"));
  }
  try {
    parse_vim_reply("<!DOCTYPE s [<!ENTITY a \"b\">]>" + envelope("<R/>").substr(21), "call");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("document type"));
  }
}

TEST(VimReply, WhatIsNoReplyIsRefused) {
  const std::string entity =
      "<?xml version=\"1.0\"?><!DOCTYPE s [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>";
  std::string deep;
  for (int i = 0; i < 220; ++i) {
    deep += "<a>";
  }
  for (int i = 0; i < 220; ++i) {
    deep += "</a>";
  }
  for (const std::string& wrong :
       {std::string(), std::string("not XML"), std::string("<html/>"), envelope(""),
        envelope("<R>").substr(0, 150), entity + envelope("<R>&x;</R>").substr(21),
        std::string("<Envelope><Body><R/></Body></Envelope>"), envelope(deep)}) {
    try {
      parse_vim_reply(wrong, "Method of vm-1");
      ADD_FAILURE() << wrong;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("not vSphere's")) << wrong;
      EXPECT_THAT(error.what(), HasSubstr("Method of vm-1"));
    }
  }
}

}  // namespace
}  // namespace hamal::vmware
