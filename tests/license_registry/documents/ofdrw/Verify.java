import java.nio.file.Paths;
import org.ofdrw.reader.OFDReader;
import org.ofdrw.sign.verify.OFDValidator;
import org.ofdrw.sign.verify.container.SESV4ValidateContainer;
import org.ofdrw.sign.verify.exceptions.OFDVerifyException;

/** Verifies every seal of an OFD: Verify FILE. */
public class Verify {
    public static void main(String[] given) throws Exception {
        try (OFDReader reader = new OFDReader(Paths.get(given[0]));
                OFDValidator validator = new OFDValidator(reader)) {
            validator.setValidator(new SESV4ValidateContainer());
            validator.exeValidate();
            System.out.println("holds");
        } catch (OFDVerifyException wrong) {
            System.out.println("wrong: " + wrong.getMessage());
        }
    }
}
